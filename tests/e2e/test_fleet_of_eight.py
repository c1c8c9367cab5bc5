"""Eight hosts, each with a real gateway: the life of a fleet, as docs/rollout.md tells it.

One test after the other; each begins with what the one before it left.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab import hosts as lab
from tests.e2e.harness import Result, claw, until

pytestmark = [pytest.mark.engine, pytest.mark.long]

NUMBER = 8
BATCHES = [[1], [2, 3], [4, 5], [6, 7], [8]]
NEVER_READY = {"gateway": {"environment": {"NODE_OPTIONS": "--no-such-option"}}}


@dataclass
class Eight:
    """The lab's hosts, by number from 1, and the inventory that an operator edits."""

    prefix: str
    inventory: Path
    environment: dict[str, str]
    settings: dict[str, Any]

    def name(self, number: int) -> str:
        return f"{self.prefix}{number}"

    def names(self, *numbers: int) -> list[str]:
        return [self.name(number) for number in numbers]

    def claw(self, *arguments: str, expect: int = 0) -> Result:
        return claw(*arguments, expect=expect, env=self.environment)

    def up(self, *arguments: str, expect: int = 0, **hosts: dict[str, Any]) -> Result:
        """`./claw up` with the fleet's settings, and some of single hosts."""
        told = {
            "function": "lab.fleet:inventory",
            "all": self.settings,
            "hosts": hosts,
            # The hosts share two cores: a gateway must be up within OpenClaw's own limits.
            "rollout": {"parallel": 2, "max_failures": 1},
        }
        self.inventory.write_text(yaml.safe_dump(told))
        return self.claw("up", str(self.inventory), "--json", *arguments, expect=expect)

    def status(self) -> dict[str, dict[str, Any]]:
        found = self.claw("status", str(self.inventory), "--json")
        return dict(found.json["hosts"])

    def sh(self, number: int, command: str) -> str:
        done = lab.ssh(self.name(number), command)
        assert done.returncode == 0, f"{number}: {command}: {done.stdout}{done.stderr}"
        return done.stdout

    def started(self) -> list[str]:
        inspect = "docker inspect -f '{{.Id}} {{.State.StartedAt}}' openclaw-openclaw-gateway-1"
        return [self.sh(number, inspect) for number in range(1, NUMBER + 1)]

    def ready(self, number: int) -> bool:
        ask = "curl -fs -o /dev/null -m 10 http://127.0.0.1:18789/readyz"
        return lab.ssh(self.name(number), ask).returncode == 0


@pytest.fixture(scope="module")
def eight(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Eight]:
    directory = tmp_path_factory.mktemp("eight")
    prefix = f"eight-{secrets.token_hex(3)}-"
    environment = {
        "OPENCLAW_LAB_FLEET": prefix,
        "OPENCLAW_LAB_OWNER": str(os.getpid()),
        "XDG_STATE_HOME": str(directory / "state"),
    }
    fleet = Eight(prefix, directory / "fleet.yml", environment, {"time_zone": "UTC"})
    fleet.claw("lab", "up", str(NUMBER))
    yield fleet
    fleet.claw("lab", "down")


def states(run: Result) -> list[str]:
    return [host["state"] for host in run.json["hosts"].values()]


def failed(run: Result) -> dict[str, str]:
    hosts = run.json["hosts"].items()
    return {
        name: f"{host['failed']} {host['problems']}"
        for name, host in hosts
        if host["state"] == "failed"
    }


def test_the_first_deploy_builds_once(eight: Eight) -> None:
    first = eight.up()
    assert states(first) == ["changed"] * NUMBER
    hosts = list(first.json["hosts"].values())
    assert {host["health"] for host in hosts} == {"ready"}
    assert len({host["version"] for host in hosts}) == 1
    done = ["\n".join(host["changed"]) for host in hosts]
    assert ["Build the gateway image" in changed for changed in done] == [True] + [False] * 7
    assert ["Receive the gateway image" in changed for changed in done] == [False] + [True] * 7
    assert len({host["image_digest"] for host in eight.status().values()}) == 1


def test_a_second_run_changes_nothing(eight: Eight) -> None:
    before = eight.started()
    same = eight.up()
    assert same.json["changed"] is False
    assert states(same) == ["unchanged"] * NUMBER
    assert eight.started() == before


def test_one_changed_line_goes_out_with_a_canary_and_in_batches(eight: Eight) -> None:
    before = eight.started()
    eight.settings["time_zone"] = "Europe/Rome"
    planned = eight.up("--dry", expect=2).json["plan"]
    assert list(planned) == eight.names(*range(1, NUMBER + 1)) and all(planned.values())
    assert eight.started() == before
    changed = eight.up()
    assert changed.json["batches"] == [eight.names(*batch) for batch in BATCHES]
    assert states(changed) == ["changed"] * NUMBER
    assert all(eight.ready(number) for number in range(1, NUMBER + 1))
    assert not set(eight.started()) & set(before)
    assert "batch 4" in Path(changed.json["timeline"]).read_text()


def test_hosts_that_fail_alone_and_their_retry(eight: Eight) -> None:
    """A network that is cut, a full disk, and a host whose own setting breaks its gateway."""
    before = eight.started()
    digest = "grep ^OPENCLAW_GATEWAY_TOKEN= /opt/openclaw/.env | sha256sum"
    tokens = [eight.sh(number, digest) for number in (3, 5, 7)]
    eight.claw("lab", "break", eight.name(3), "cut-network")
    eight.claw("lab", "break", eight.name(5), "fill-disk")
    eight.settings["time_zone"] = "Asia/Tokyo"
    partly = eight.up(expect=1, **{eight.name(7): NEVER_READY})
    reasons = failed(partly)
    assert sorted(reasons) == eight.names(3, 5, 7)
    assert "cannot connect" in reasons[eight.name(3)]
    assert "free" in reasons[eight.name(5)]
    assert states(partly).count("changed") == NUMBER - 3
    assert "--limit @failed" in partly.stderr
    until(lambda: eight.ready(7), 120, "the old gateway is back")

    for number in (3, 5):
        eight.claw("lab", "mend", eight.name(number))
    assert [one == two for one, two in zip(before, eight.started(), strict=True)] == [
        number in (3, 5) for number in range(1, NUMBER + 1)
    ]
    again = eight.up("--limit", "@failed")
    assert list(again.json["hosts"]) == eight.names(3, 5, 7)
    assert states(again) == ["changed"] * 3
    assert eight.up().json["changed"] is False
    assert [eight.sh(number, digest) for number in (3, 5, 7)] == tokens


def test_a_reboot_and_an_engine_that_was_killed(eight: Eight) -> None:
    eight.claw("lab", "break", eight.name(2), "reboot")
    until(lambda: eight.ready(2), 180, "the gateway is back after the host's reboot")
    eight.claw("lab", "break", eight.name(4), "kill-engine")
    back = eight.up()
    assert back.json["hosts"][eight.name(4)]["state"] == "changed"
    assert eight.ready(4)
    assert eight.up().json["changed"] is False
