"""Every call of apt waits for all of its locks and dpkg's, and says for whom."""

from __future__ import annotations

import fcntl
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from operations.base import templates
from operations.images import scripts
from toolkit.settings import Settings

LOCKS = ("dpkg/lock-frontend", "dpkg/lock", "lists/lock", "archives/lock")
APT_CONFIG = """#!/bin/sh
echo "apt_lists='@/lists' apt_archives='@/archives' apt_status='@/dpkg/status'"
"""
HOLD = """
import fcntl, sys
file = open(sys.argv[2], "w")
fcntl.lockf(file, fcntl.LOCK_EX)
print(flush=True)
sys.stdin.read()
"""
# The lists are current; nothing is interrupted.
FIND = "#!/bin/sh\ncase $* in *Packages*|*mmin*) echo there ;; esac\n"
APT_GET = """#!/bin/sh
case $* in *--simulate*) exit 0 ;; esac
echo "$*" >>@/calls
[ -e @/taken ] || exit 0
rm @/taken
echo 'E: Could not get lock @/lists/lock. It is held by process 9 (apt-get)' >&2
exit 100
"""


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    for name in ("dpkg", "lists", "archives", "bin"):
        (tmp_path / name).mkdir()
    quiet = "#!/bin/sh\n"
    programs = {"apt-config": APT_CONFIG, "apt-get": APT_GET, "find": FIND}
    programs |= {"dpkg": quiet, "dpkg-query": quiet}
    for name, text in programs.items():
        (tmp_path / "bin" / name).write_text(text.replace("@", str(tmp_path)))
        (tmp_path / "bin" / name).chmod(0o755)
    return tmp_path


@pytest.fixture
def held(machine: Path) -> Iterator[Callable[[str], IO[str]]]:
    """`held(name)`: somebody else has the lock, until what is returned is closed."""
    holders = []
    (machine / "hold.py").write_text(HOLD)

    def hold(name: str) -> IO[str]:
        holder = subprocess.Popen(
            ["python3", "hold.py", "http://me:hunter2@mirror/", machine / name],
            cwd=machine,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert holder.stdin and holder.stdout and holder.stdout.readline()
        holders.append(holder)
        return holder.stdin

    yield hold
    for holder in holders:
        holder.kill()
        holder.wait()


def run(machine: Path, script: str, *words: str, seconds: int = 60) -> subprocess.Popen[str]:
    environment = {"PATH": f"{machine / 'bin'}:{os.environ['PATH']}", "apt_left": str(seconds)}
    process = subprocess.Popen(
        ["sh", "-s", "--", *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
    )
    assert process.stdin
    process.stdin.write(script)
    process.stdin.close()
    process.stdin = None
    return process


def install(machine: Path, **options: Any) -> subprocess.Popen[str]:
    return run(machine, templates.render("packages/install.sh.j2"), "curl", **options)


@pytest.mark.slow
@pytest.mark.parametrize("name", LOCKS)
def test_apt_waits_for_every_lock_and_says_who_has_it(machine: Path, held: Any, name: str) -> None:
    holder = held(name)
    process = install(machine)
    assert process.stdout
    said = process.stdout.readline()
    assert said.startswith(f"waiting for apt: {machine}/{name} is held by process ")
    assert "python3 hold.py http://mirror/" in said and "hunter2" not in said
    assert not (machine / "calls").exists()  # neither lists nor dpkg are looked at meanwhile
    holder.close()
    assert process.wait(60) == 0, process.stdout.read()
    assert "--no-install-recommends curl" in (machine / "calls").read_text()


def test_who_holds_it_for_too_long_is_named_and_nothing_is_installed(machine, held) -> None:
    held("lists/lock")
    process = install(machine, seconds=1)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert said.count(f"apt is in use: {machine}/lists/lock is held by process") == 1
    assert not (machine / "calls").exists()


def test_who_comes_between_is_waited_for_too(machine: Path) -> None:
    (machine / "taken").touch()
    said, _ = (process := install(machine)).communicate(timeout=60)
    assert process.returncode == 0, said
    calls = (machine / "calls").read_text().splitlines()
    assert calls[0] == calls[1] and "--download-only" in calls[0]


BOOTING = "  42 cloud-final.service  start running"


@pytest.mark.parametrize(
    ("jobs", "group", "waits"),
    [
        (BOOTING, "/user.slice/session-1.scope", True),
        ("  42 cloud-init-network.service start waiting", "/user.slice", True),
        (BOOTING, "/system.slice/cloud-final.service", False),  # what cloud-init itself runs
        ("  7 apt-daily.service start running", "/user.slice", False),
    ],
)
def test_the_first_boot_ends_before_apt_is_taken(
    machine: Path, jobs: str, group: str, waits: bool
) -> None:
    (machine / "cloud-init").mkdir()
    (machine / "cgroup").write_text(f"0::{group}\n")
    (machine / "jobs").write_text(jobs + "\n")
    program = machine / "bin" / "systemctl"
    program.write_text(f"#!/bin/sh\ncat {machine}/jobs\n")
    program.chmod(0o755)
    script = str(templates.render("packages/install.sh.j2"))
    for path, ours in (("/run/cloud-init", "cloud-init"), ("/proc/self/cgroup", "cgroup")):
        assert path in script
        script = script.replace(path, str(machine / ours))
    process = run(machine, script, "curl")
    assert process.stdout
    if waits:
        said = process.stdout.readline()
        assert said == "waiting for cloud-init, which may be installing packages\n"
        assert not (machine / "calls").exists()
        (machine / "jobs").write_text("")
    assert process.wait(60) == 0
    assert "--no-install-recommends curl" in (machine / "calls").read_text()


def test_a_first_boot_that_does_not_end_stops_nobody(machine: Path) -> None:
    (machine / "cloud-init").mkdir()
    (machine / "bin" / "systemctl").write_text(f"#!/bin/sh\necho '{BOOTING}'\n")
    (machine / "bin" / "systemctl").chmod(0o755)
    script = str(templates.render("packages/install.sh.j2"))
    process = run(machine, script.replace("/run/", f"{machine}/"), "curl", seconds=1)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0 and said.count("cloud-init") == 1
    assert (machine / "calls").exists()


def test_any_other_failure_is_not_tried_again(machine: Path) -> None:
    script = str(templates.render("packages/manager.sh")) + '\napt_run "$@"; echo "code $?"\n'
    said, _ = run(machine, script, "sh", "-c", "echo out; echo err >&2; exit 7").communicate()
    assert sorted(said.split()) == ["7", "code", "err", "out"]


def test_builds_wait_too_when_they_read_the_lists_first(machine: Path, held: Any) -> None:
    holder = held("lists/lock")
    (machine / "bin" / "find").write_text("#!/bin/sh\n")
    text = scripts.render("build.sh.j2", Settings(), **BUILD)
    functions = text.partition("\nmain() {")[0]
    process = run(machine, f"{functions}\nID=debian; debian_sources bookworm\n")
    assert process.stdout
    first = process.stdout.readline()
    assert first.startswith("waiting for apt") or not Path("/etc/debian_version").exists()
    holder.close()
    assert process.wait(60) == 0


BUILD: dict[str, Any] = {
    **{"label": "x", "context": "/x", "log": "/x", "tag": "x", "probe": "", "labels": {}},
    **{"arguments": {}, "secrets": {}, "trust": False, "sources": "bookworm"},
    **{"packages_setting": "x", "prefix": "", "mirrors": ()},
}


def test_the_locks_are_those_that_apt_takes(tmp_path: Path) -> None:
    """What is asked of the kernel is what `apt-get update` asks."""
    path = tmp_path / "lock"
    script = str(templates.render("packages/manager.sh")) + "\napt_holders\n"
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # another kind, which apt does not mind
        (tmp_path / "bin").mkdir()
        fake = tmp_path / "bin" / "apt-config"
        fake.write_text(f"#!/bin/sh\necho \"apt_lists='{tmp_path}' apt_archives=/nonexistent\"\n")
        fake.chmod(0o755)
        assert run(tmp_path, script).communicate()[0] == ""
        fcntl.lockf(file, fcntl.LOCK_EX)
        assert f"{path} is held by process {os.getpid()}" in run(tmp_path, script).communicate()[0]
