"""A fleet in which one host was taken over: it answers anything, and only it fails.

Each of the fleet is a name of one lab host. The hostile one is reached at a port whose sshd runs,
instead of what is asked, a program that asks the host and changes what it says, or says something
else; it knows the marks of the call as whoever is root there would.
"""

from __future__ import annotations

import re
import resource
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lab import hosts as lab
from tests.e2e.harness import Result, claw, lacking

pytestmark = pytest.mark.engine

PORT = 2400
HONEST = ("one", "two")
SERVER = "#!/usr/bin/python3\n" + (Path(__file__).parent / "hostile_server.py").read_text()
START = f"""
[ -e /run/hostile.pid ] || /usr/sbin/sshd -p {PORT} -o PidFile=/run/hostile.pid \
  -o ForceCommand=/usr/local/sbin/hostile
"""
JOB = """
from pyinfra import config, host
from pyinfra.api import StringCommand
from pyinfra.api.deploy import deploy

from operations import activation, verification
from operations.base import preflight, snapshot
from operations.base.operation import operation
from tests.e2e import made

Job = made.fact("/srv/{name}")
settings = preflight.run()
config.SUDO = snapshot.needs_sudo(host)


@operation
def make():
    if "done" in snapshot.of(Job):
        host.noop("it is there")
        return
    there = f"/srv/{settings.name}"
    yield StringCommand(f"mkdir -p {there} && touch {there}/done")


@deploy("Job")
def job():
    make(name="Make the file")


job()
"""
EVERYDAY = ("endless", "acting", "types 5")
LONG = (
    *("forced", "huge", "liar", "bytes", "nothing", "megabytes", "failing"),
    *("silent", "endless errors", "types 0", "types 1", "types 2", "types 3", "types 4", "types 6"),
)
LATER = ("late failure", "acting")
MOST_MEMORY = 600 << 20
# What acts on a terminal.
ACTS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202e]")


class Fleet:
    def __init__(self, host: lab.Host, folder: Path) -> None:
        self.host, self.folder = host, folder
        self.inventory = folder / "fleet.py"
        self.locks = folder / "openclaw.lock.yml"
        self.locks.write_text("# kept\nimages: {}\n")
        (folder / "job.py").write_text(JOB)
        self.known_hosts = lab.known_hosts(host.ip, [(host.ip, PORT)], folder / "known_hosts")
        text = Path(lab.SSH_DIR / "known_hosts").read_text()
        self.known_hosts.write_text(self.known_hosts.read_text() + text)

    def run(self, verb: str, *arguments: str, mode: str = "honest", **options: Any) -> Result:
        self.sh(f"echo '{mode}' >/run/hostile")
        common = lacking(self.host) | lab.connection(self.host.ip)
        common |= {"ssh_known_hosts_file": str(self.known_hosts)}
        hosts = []
        for number, name in enumerate(("hostile", *HONEST)):
            own = {"name": f"fleet-{name}", "gateway": {"port": 18800 + number, "memory": "2g"}}
            way = {"ssh_port": PORT} if name == "hostile" else {}
            hosts.append((name, {**common, **own, **way}))
        self.inventory.write_text(f"hosts = {hosts!r}\n")
        environment = {"XDG_STATE_HOME": str(self.folder / "state")}
        return claw(verb, str(self.inventory), *arguments, env=environment, timeout=400, **options)

    def sh(self, command: str) -> str:
        return lab.inside(self.host.container, command)


@pytest.fixture(scope="module")
def fleet(lab_host: Callable[..., lab.Host], tmp_path_factory) -> Iterator[Fleet]:
    host = lab_host("bookworm", "bare")
    made = Fleet(host, tmp_path_factory.mktemp("hostile"))
    write = 'printf %s "$1" >/usr/local/sbin/hostile; chmod 755 /usr/local/sbin/hostile'
    lab.inside(host.container, write, SERVER)
    made.sh(START)
    yield made
    made.sh("kill $(cat /run/hostile.pid); pkill -f [s]bin/hostile; rm -rf /srv/fleet-*; true")


@pytest.fixture(scope="module")
def honest_plan(fleet: Fleet) -> dict[str, Any]:
    """What the honest hosts' plan is when nobody lies."""
    return planned(fleet.run("up", "--dry", "--json", expect=2))


def planned(run: Result) -> dict[str, Any]:
    hosts, plan = run.json["hosts"], run.json["plan"]
    return {name: (hosts[name]["state"], plan[name]) for name in HONEST}


def unharmed(fleet: Fleet, run: Result) -> None:
    assert fleet.locks.read_text() == "# kept\nimages: {}\n"
    shown = run.stdout + run.stderr
    assert not ACTS.search(shown), ACTS.search(shown)
    assert "Traceback" not in shown
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 < MOST_MEMORY


@pytest.mark.parametrize(
    "mode", [*EVERYDAY, *(pytest.param(mode, marks=pytest.mark.long) for mode in LONG)]
)
def test_only_the_hostile_host_fails(fleet: Fleet, honest_plan: dict[str, Any], mode: str) -> None:
    run = fleet.run("up", "--dry", "--json", mode=mode, expect=1)
    assert planned(run) == honest_plan
    assert run.json["hosts"]["hostile"]["state"] == "failed"
    unharmed(fleet, run)


@pytest.mark.parametrize(
    "mode",
    ["late flood", *(pytest.param(mode, marks=pytest.mark.long) for mode in LATER)],
)
def test_the_others_are_changed(fleet: Fleet, mode: str) -> None:
    fleet.sh("rm -rf /srv/fleet-*")
    job = ("--deploy", str(fleet.folder / "job.py"))
    run = fleet.run("up", "--json", *job, mode=mode, expect=1)
    states = {name: host["state"] for name, host in run.json["hosts"].items()}
    assert states == {"hostile": "failed", **dict.fromkeys(HONEST, "changed")}
    unharmed(fleet, run)
    assert "<script>alert" not in Path(run.json["timeline"]).read_text()
    assert fleet.sh("ls -d /srv/fleet-*/done | wc -l").strip() == "2"


@pytest.mark.parametrize("mode", ["acting", pytest.param("endless", marks=pytest.mark.long)])
@pytest.mark.parametrize(
    "verb",
    ["status", *(pytest.param(verb, marks=pytest.mark.long) for verb in ("doctor", "sandboxes"))],
)
def test_verbs_show_what_it_says_as_text(fleet: Fleet, verb: str, mode: str) -> None:
    run = fleet.run(verb, mode=mode, expect=None)
    assert all(name in run.output for name in HONEST)
    unharmed(fleet, run)
    run = fleet.run(verb, "--json", mode=mode, expect=None)
    assert set(run.json["hosts"]) == {"hostile", *HONEST}
    unharmed(fleet, run)
