"""Stop, start, another token and removal, on a real host with a real gateway: one host for all of
it, in this order, bare before the first and after the last."""

from __future__ import annotations

import json
import re
import shlex
import threading
from collections.abc import Iterator

import pytest

from lab import hosts as lab
from tests.e2e.harness import Deployment, until
from tests.e2e.sandbox.conftest import _MODEL, MODEL_PORT, SCRIPTED

pytestmark = [pytest.mark.engine, pytest.mark.long]

EVERYTHING = """
find / /tmp /run -xdev \\( -path /proc -o -path /sys -o -path /dev -o -path /run/systemd \\
  -o -path /run/udev -o -path /var/log -o -path /var/lib/systemd -o -path /root/.ssh \\) -prune \\
  -o -type d -printf 'file %p %y %m %U:%G\\n' -o -printf 'file %p %y %m %U:%G\\n'
dpkg-query -W -f 'package ${Package}\\n'
getent passwd | sed 's/^/user /'; getent group | cut -d: -f1-3 | sed 's/^/group /'
cat /etc/subuid /etc/subgid 2>/dev/null | sed 's/^/ids /'
systemctl list-unit-files --plain --no-legend | cut -d' ' -f1 | sed 's/^/unit /'
cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | sed 's/^/source /'
nft list ruleset 2>/dev/null | sed 's/^/firewall /'
ip -o link | sed 's/^[0-9]*: \\([^:@]*\\).*/link \\1/'
for kind in container image network volume; do
  docker $kind ls -q 2>/dev/null | sed "s/^/$kind /"
done
"""
STAYS = {
    r"file /var/(cache|lib)/apt/": "apt's lists and caches",
    r"file /var/lib/dpkg/": "dpkg's own record",
    r"file /var/cache/(debconf|ldconfig|man)": "caches of Debian's tools",
    r"file /var/lib/ucf": "the record of a tool of Debian's (unattended-upgrades has it)",
    r"file /etc/apt/keyrings": "an empty directory of Debian's convention",
    r"file /var/lib/polkit": "what packages leave",
    r"file /etc/(ld.so.cache|(group|gshadow|passwd|shadow|subuid|subgid)-)": "Debian's copies",
    r"file /(tmp|run)/": "gone with a reboot: locks of runs, and what units of now have there",
    r"file /etc/(group|gshadow|passwd|shadow)": "same content, another inode",
    r"file /var/lib/systemd": "systemd's own",
    r"file /var/lib/(docker|containerd) d ": "where the lab mounts a disk; another mode",
    r"firewall": "chains that iptables-nft leaves empty, gone with a reboot",
    r"user|group": "system users that Debian's packages leave for their files",
}
"""What may differ between a host before `up` and after all was removed, and why."""
SLOW = _MODEL.replace(
    '    response.writeHead(200, { "content-type": "text/event-stream" });\n',
    '    response.writeHead(200, { "content-type": "text/event-stream" });\n'
    '    require("node:fs").writeFileSync("/tmp/asked", "");\n'
    '    const wait = setInterval(() => { if (!require("node:fs").existsSync("/tmp/go")) return;\n'
    "    clearInterval(wait);\n",
).replace(
    '    response.end("data: [DONE]\\n\\n");\n',
    '    response.end("data: [DONE]\\n\\n"); }, 100);\n',
)
"""The scripted model, which answers once there is /tmp/go."""


@pytest.fixture(scope="module")
def bare(lab_host) -> tuple[lab.Host, set[str]]:
    host = lab_host("bookworm", "daytwo")
    return host, set(lab.ssh(host.name, EVERYTHING).stdout.splitlines())


@pytest.fixture(scope="module")
def gateway(bare, deployment) -> Iterator[Deployment]:
    one = deployment(bare[0], openclaw=SCRIPTED, gateway={"ready_timeout": 900})
    one.claw("up")
    yield one


def state(one: Deployment) -> dict:
    return dict(next(iter(one.claw("status", "--json", expect=None).json["hosts"].values())))


def changes_nothing(one: Deployment) -> None:
    assert one.claw("up", "--json").json["changed"] is False


def begin_turn(one: Deployment) -> None:
    """Have an agent begin a turn, which does not end before `end_turn`."""
    container = one.container()["Id"]
    one.in_gateway("rm -f /tmp/go /tmp/asked")
    one.sh(f"docker exec -d {container} node -e {shlex.quote(SLOW % MODEL_PORT)}")
    turn = (
        "openclaw agent --agent main --session-key agent:main:slow --message hi --json >/tmp/turn"
    )
    one.sh(f"docker exec -d {container} sh -c {shlex.quote(turn)}")
    until(lambda: "asked" in one.in_gateway("ls /tmp"), 300, "the turn")


def test_a_stop_waits_for_the_turn_that_is_running(gateway: Deployment) -> None:
    assert gateway.claw("stop", "--dry", expect=2).output.count("Stop it") == 1
    begin_turn(gateway)
    container = gateway.container()["Id"]
    stop = gateway.start("stop", "-y", "-vvv")
    stop.wait_for("finishes what it is doing; .* s so far, 315 s at most")
    assert gateway.container()["State"]["Running"]
    gateway.sh(f"docker exec {container} touch /tmp/go")
    result = stop.finish()
    assert result.returncode == 0
    assert re.search("the gateway has stopped, after [0-9]+ s", result.output)
    assert gateway.container()["State"]["Status"] == "exited"
    assert gateway.container()["State"]["ExitCode"] == 0
    assert gateway.claw("stop", "-y").output.count("nothing to change") == 1


def test_what_was_stopped_on_purpose_is_said_and_stays(gateway: Deployment) -> None:
    assert "stopped on purpose" in gateway.claw("status", expect=1).stdout
    assert state(gateway)["stopped_on_purpose"]
    gateway.sh("systemctl restart docker")
    assert gateway.container()["State"]["Status"] == "exited"
    dry = gateway.claw("up", "--dry", expect=2)
    assert "was stopped on purpose" in dry.output
    assert "this run starts it" in dry.output


def test_a_start_and_a_restart_make_it_ready(gateway: Deployment) -> None:
    gateway.claw("start", "-y")
    assert state(gateway)["ready"] and not state(gateway)["stopped_on_purpose"]
    changes_nothing(gateway)
    was = gateway.container()
    gateway.claw("restart", "-y")
    now = gateway.container()
    assert (now["Id"], now["RestartCount"]) == (was["Id"], 0)
    assert now["State"]["StartedAt"] != was["State"]["StartedAt"]
    assert state(gateway)["ready"]
    changes_nothing(gateway)


def test_a_reboot_waits_for_the_turn_that_is_running(gateway: Deployment) -> None:
    host = gateway.vps.container
    upgrades = {"unattended_upgrades": {"enabled": True}}
    gateway.claw("up", settings={"host": upgrades})
    begin_turn(gateway)
    container = gateway.container()["Id"]
    reboot = threading.Thread(target=lambda: lab.container(host).restart(timeout=400))
    reboot.start()
    unit = "systemctl show -P ActiveState openclaw-shutdown.service"
    until(lambda: "deactivating" in lab.inside(host, unit), 120, "the host goes down")
    now = lab.inside(host, "date -u +%FT%TZ").strip()
    lab.inside(host, f"docker exec {container} touch /tmp/go")
    reboot.join()
    lab.wait(gateway.vps.name)
    until(lambda: state(gateway)["ready"], 300, "the gateway")
    assert gateway.container()["State"]["FinishedAt"] > now
    gateway.claw("up")
    assert "openclaw-shutdown" not in gateway.sh("systemctl list-unit-files 'openclaw-*'")
    changes_nothing(gateway)


def lets_in(one: Deployment, token: str) -> bool:
    url = f"http://127.0.0.1:{one.port}/tools/invoke"
    asked = (
        f"printf 'authorization: Bearer %s' {token} | curl -s -o /dev/null -w '%{{http_code}}'"
        f" -H @- -H 'content-type: application/json' -d '{{}}' {url}"
    )
    return one.sh(asked).strip() not in ("401", "403")


def test_a_new_token_takes_the_place_of_the_old_one(gateway: Deployment) -> None:
    old = gateway.token()
    devices = json.loads(gateway.claw("cli", "--", "devices", "list", "--json").stdout)
    dry = gateway.claw("rotate", "--dry", expect=2)
    assert "/opt/openclaw/last-good/.env" in dry.output
    result = gateway.claw("rotate", "-y")
    new = gateway.token()
    assert new != old and re.fullmatch("[0-9a-f]{64}", new)
    assert "old token: refused (HTTP 401, WebSocket AUTH" in result.stdout
    assert "new token: accepted" in result.stdout
    assert old not in result.output and new not in result.output
    assert (lets_in(gateway, old), lets_in(gateway, new)) == (False, True)
    assert gateway.claw("token").stdout.strip() == new
    assert old not in gateway.sh("grep -rsF . /opt/openclaw --include=.env --include=*.log")
    after = json.loads(gateway.claw("cli", "--", "devices", "list", "--json").stdout)
    assert [one["deviceId"] for one in after["paired"]] == [
        one["deviceId"] for one in devices["paired"]
    ]
    changes_nothing(gateway)


@pytest.mark.parametrize("step", ["run/rotate/rotating", "candidate/phase", "last-good.old"])
def test_a_rotation_that_is_killed_leaves_one_token_and_is_finished(
    step: str, gateway: Deployment
) -> None:
    old = gateway.token()
    run = gateway.start("rotate", "-y")
    log = "/opt/openclaw/run/activate.log"
    watch = (
        f"until [ -e /opt/openclaw/{step} ] || grep -qsx 'the gateway is ready' {log}; do"
        " sleep 0.01; done; pkill -KILL -f '/opt/openclaw/run/activate.s[h] rotate'"
    )
    gateway.sh(f": >{log}; {watch}", expect=None)
    run.kill()
    until(lambda: gateway.http() == 200 or True, 5, "whatever there is")
    gateway.claw("rotate", "-y")
    new = gateway.token()
    assert new != old
    assert (lets_in(gateway, old), lets_in(gateway, new)) == (False, True)
    assert not gateway.sh("ls -d /opt/openclaw/run/rotate 2>/dev/null || true").strip()
    changes_nothing(gateway)


def test_one_credential_is_read_again_and_nothing_else_is_brought(gateway: Deployment) -> None:
    gateway.settings["credentials"] = {"SOME_API_KEY": {"env": "THE_KEY"}}
    gateway.claw("up", env={"THE_KEY": "first"})
    memory = gateway.container()["HostConfig"]["Memory"]
    gateway.claw(
        *("rotate", "-y", "--credential", "SOME_API_KEY"),
        env={"THE_KEY": "second"},
        settings={"gateway": {"memory": "4g"}},
    )
    assert gateway.in_gateway("printf %s $SOME_API_KEY") == "second"
    assert gateway.container()["HostConfig"]["Memory"] == memory
    assert gateway.claw("up", "--json", env={"THE_KEY": "second"}).json["changed"] is False
    del gateway.settings["credentials"]


def test_a_removal_keeps_what_openclaw_knows(gateway: Deployment) -> None:
    mine = "/var/lib/openclaw/workspace/mine"
    gateway.sh(f"echo mine >{mine} && chown {gateway.owner} {mine}")
    token = gateway.token()
    dry = gateway.claw("remove", "--dry", expect=2).output
    assert "goes:  gateway" in dry and "stays: project: /opt/openclaw/.env" in dry
    gateway.claw("remove", "-y")
    assert not gateway.sh("docker ps -aq").strip()
    assert not gateway.sh("nft list tables | grep openclaw || true").strip()
    assert "nothing to change" in gateway.claw("remove", "-y").output
    gateway.claw("up")
    assert gateway.token() == token
    assert gateway.sh("cat /var/lib/openclaw/workspace/mine").strip() == "mine"


def test_data_go_by_the_name_alone(gateway: Deployment) -> None:
    refused = gateway.claw("remove", "-y", "--purge-data", expect=1)
    assert "--yes-purge NAME" in refused.output
    wrong = gateway.claw("remove", "--purge-data", "--yes-purge", "other", expect=1)
    assert "must name the deployments of these hosts, which are openclaw" in wrong.output
    assert gateway.http() == 200


def test_a_host_is_bare_again(gateway: Deployment, bare) -> None:
    """A removal that is killed in the middle is finished by the next."""
    host, before = bare
    purge = ("--purge-data", "--purge-engine", "--yes-purge", "openclaw")
    run = gateway.start("remove", *purge)
    until(lambda: not gateway.sh("docker ps -q", None).strip(), 400, "the stop")
    run.kill()
    gateway.claw("remove", *purge)
    after = set(lab.ssh(host.name, EVERYTHING).stdout.splitlines())
    odd = {line for line in before ^ after if not any(re.match(pattern, line) for pattern in STAYS)}
    assert not odd, "\n".join(sorted(odd))
    assert "nothing to change" in gateway.claw("remove", *purge).output
