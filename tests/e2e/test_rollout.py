"""Runs of `./claw up` on a fleet: hosts that fail alone, canary and batches, what is retried."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lab import hosts as lab
from tests.e2e.fleet import FOREVER, PORTS, Fleet

pytestmark = [pytest.mark.engine, pytest.mark.whole]


@pytest.fixture
def fleet(lab_host: Callable[..., lab.Host], tmp_path: Path) -> Callable[..., Fleet]:
    def make(**hosts: dict[str, Any]) -> Fleet:
        one = Fleet(lab_host("bookworm", "rollout"), tmp_path, hosts)
        ports = " ".join(f"-p {port}" for port in PORTS)
        pid = "/run/sshd-of-the-fleet.pid"
        one.sh(f"[ -e {pid} ] || /usr/sbin/sshd {ports} -o PidFile={pid}")
        return one

    return make


def test_hosts_fail_alone_and_are_tried_again(fleet: Callable[..., Fleet], tmp_path: Path) -> None:
    strange = tmp_path / "other_known_hosts"
    address = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGPKSUTyz1HwHReFVvD5obVsALAgJRNarH4TRpNePnAS"
    one = fleet(good={}, down={}, stranger={}, small={}, broken={}, cut={}, fine={})
    strange.write_text("".join(f"[{one.host.ip}]:{port} {address}\n" for port in PORTS))
    sound = dict(one.hosts)
    one.hosts |= {
        "down": {"ssh_port": 1},
        "stranger": {"ssh_known_hosts_file": str(strange)},
        "small": {"gateway": {"memory": "900g"}},
    }
    mark = f"{one.directory}/cut-{one.id}/begun"
    one.commands = {"broken": "echo the reason >&2; false", "cut": f"touch {mark}; {FOREVER}"}

    run = one.start("--json")
    one.await_log(run, "begin cut")
    # The session that the lock names, as if the connection had been cut.
    one.sh(
        f"kill $(sed -n 's/^process=\\([0-9]*\\) .*/\\1/p' /run/openclaw-pyinfra/cut-{one.id}.lock)"
    )
    failed = run.finish(120)
    assert failed.returncode == 1, failed.output

    states = one.states(failed)
    assert [name for name, state in states.items() if state == "changed"] == ["good", "fine"]
    assert [name for name, state in states.items() if state == "failed"] == [
        *("down", "stranger", "small", "broken", "cut"),
    ]
    hosts = failed.json["hosts"]
    assert "cannot connect" in hosts["down"]["failed"] and "ssh" in hosts["down"]["failed"]
    assert "key" in hosts["stranger"]["failed"]
    assert "gateway.memory is 900g" in hosts["small"]["problems"][0]["what"]
    assert hosts["small"]["problems"][0]["fix"]
    assert "the reason" in hosts["broken"]["output"]
    assert (
        "the connection to the host was lost; what it left running was ended"
        in (hosts["cut"]["failed"])
    )
    assert "--limit @failed" in failed.stderr
    assert one.commands_left() == []
    assert one.locks() == ""

    one.hosts, one.commands = sound, {}
    again = one.run("--limit", "@failed", "--exclude", "sm*", "--json")
    assert set(one.states(again).values()) == {"changed"}
    assert list(again.json["hosts"]) == ["down", "stranger", "broken", "cut"]
    last = one.run("--limit", "@failed", "--json")
    assert one.states(last) == {"small": "changed"}
    assert "@failed" in one.run("--limit", "@failed", expect=1).stderr
    assert one.run("--json").json["changed"] is False


def test_wrong_settings_of_one_host_stop_all_of_them(fleet: Callable[..., Fleet]) -> None:
    one = fleet(good={}, wrong={"gateway": {"prot": 1}}, down={"ssh_port": 1})
    stopped = one.run(expect=1)
    assert "gateway.prot" in stopped.stderr
    assert one.log() == []


def test_canary_then_batches_and_a_stop(fleet: Callable[..., Fleet]) -> None:
    one = fleet(**{name: {} for name in "abcdef"})
    one.rollout = "{'canary': 1, 'batch': '50%'}"
    done = one.run("--json")
    assert done.json["batches"] == [["a"], ["b", "c", "d"], ["e", "f"]]
    names = [line.split()[1] for line in one.log()]
    assert names[:2] == ["a", "a"]
    assert set(names[2:8]) == set("bcd")
    assert set(names[8:]) == set("ef")

    timeline = Path(done.json["timeline"])
    assert timeline.is_relative_to(one.folder / "state")
    assert "batch 3" in timeline.read_text()

    one.version, one.commands = 2, {"c": "false"}
    one.forget_log()
    stopped = one.run("--json", "--batch", "2", expect=1)
    assert stopped.json["batches"] == [["a"], ["b", "c"], ["d", "e"], ["f"]]
    assert list(one.states(stopped).values()) == [
        *("changed", "changed", "failed", "not attempted", "not attempted", "not attempted"),
    ]
    assert "the rollout stopped after c failed" in stopped.stderr
    assert {line.split()[1] for line in one.log()} == set("abc")

    one.forget_log()
    tolerant = one.run("--json", "--batch", "2", "--max-failures", "1", expect=1)
    assert tolerant.json["batches"] == [["c"], ["d", "e"], ["f"]]
    assert [host["state"] for host in tolerant.json["hosts"].values()].count("changed") == 3

    one.commands = {}
    assert one.states(one.run("--limit", "@failed", "--json")) == {"c": "changed"}


def test_a_killed_run_is_finished_by_the_next(fleet: Callable[..., Fleet]) -> None:
    one = fleet(a={}, b={}, c={})
    one.commands = dict.fromkeys("ab", FOREVER)
    run = one.start("--canary", "0", "--batch", "2", "--json")
    try:
        one.await_log(run, "begin a", "begin b")
    finally:
        run.kill()
    one.commands = {}
    done = one.run("--json")
    assert one.states(done) == {"a": "changed", "b": "changed", "c": "changed"}
    assert one.locks() == ""
    assert one.commands_left() == []


def test_hooks_and_the_log_on_the_host(fleet: Callable[..., Fleet]) -> None:
    one = fleet(a={}, b={}, down={"ssh_port": 1})
    told = one.folder / "told"
    tell = 'echo "{} [$CLAW_HOSTS] [$CLAW_CHANGED] [$CLAW_FAILED] $CLAW_EXIT_CODE" >>{}; echo said'
    before, after = tell.format("before", told), tell.format("after", told)
    one.rollout = repr({"before": before, "after": after})
    one.commands = {"b": "echo secret-in-output; false"}
    run = one.run("--json", expect=1)
    assert told.read_text().splitlines() == [
        "before [a b] [] [down] ",
        "after [a b down] [a] [b down] 1",
    ]
    assert "said" in run.stderr

    logs = {name: f"/var/log/{name}-{one.id}-deploy.log" for name in "ab"}
    entry = json.loads(one.sh(f"cat {logs['a']}"))
    assert (entry["result"], entry["changed"], entry["failed"]) == (
        *("done", ["Job | Make the file"], []),
    )
    assert entry["target"] == str(one.inventory)
    assert re.search(r"\S+@\S+ \(pid \d+\)", entry["owner"])
    said = one.sh(f"cat {logs['b']}")
    assert json.loads(said)["failed"] == ["Job | Make the file"]
    assert "secret" not in said
    assert one.sh(f"stat -c %a {logs['a']}") == "640\n"

    one.commands, was = {}, one.sh(f"sha256sum {logs['a']}")
    again = one.run(expect=1)
    rows = [re.split(r"\s{2,}", line.strip()) for line in again.stdout.splitlines()]
    assert ["Host", "Result", "Changed", "Time", "Version", "Health"] in rows
    assert ["a", "unchanged"] in rows
    assert ["b", "changed", "1"] in [row[:3] for row in rows]
    assert one.sh(f"sha256sum {logs['a']}") == was  # nothing changed there
    assert one.sh(f"wc -l <{logs['b']}") == "2\n"

    one.version, one.rollout = 2, repr({"before": "echo no; exit 3", "after": after})
    told.unlink()
    one.forget_log()
    stopped = one.run(expect=1)
    assert "rollout.before failed: echo no; exit 3: exit code 3" in stopped.stderr
    assert one.log() == []
    assert told.read_text().startswith("after")


def test_hooks_are_functions_in_python(fleet: Callable[..., Fleet]) -> None:
    one = fleet(a={})
    told = one.folder / "told"
    write = f"lambda event: open({str(told)!r}, 'a').write(repr(event) + chr(10))"
    one.rollout = f"{{'before': {write}, 'after': lambda event: 1 / 0}}"
    run = one.run(expect=1)
    assert "hosts=('a',)" in told.read_text()
    assert "rollout.after failed: ZeroDivisionError" in run.stderr
    assert len(one.log()) == 2
