"""Hosts that bring themselves to a signed ref of a git repository, nobody else being there."""

from __future__ import annotations

import secrets
from functools import partial
from pathlib import Path

import pytest

from tests.e2e import harness
from tests.e2e.harness import Deployment, claw
from tests.e2e.pull_job import BAD, CHANGED, Fleet

pytestmark = [pytest.mark.engine, pytest.mark.long]
# Each look is a log-in on every host, of which their own work has nothing.
until = partial(harness.until, pause=5)


def states(fleet: Fleet) -> dict[str, str]:
    return {name: fleet.result(name).get("state", "") for name in fleet.hosts}


def zones(fleet: Fleet) -> set[str]:
    return {fleet.sh(name, f"cat {CHANGED}") for name in fleet.hosts}


@pytest.mark.parametrize("number", [2, 8])
def test_a_signed_change_reaches_all_a_bad_one_the_first_ring_a_forged_one_none(
    number: int, lab_host, tmp_path: Path
):
    machines = [lab_host(label=f"pull{place}") for place in range(number)]
    fleet = Fleet(tmp_path, lab_host(label="pull-git"), machines)
    first = fleet.push("Europe/Berlin")
    fleet.rings = {name: min(place, 2) for place, name in enumerate(fleet.hosts)}
    one = ("--limit", "claw0")
    try:
        # What does not hold leaves nothing.
        for words, why in (
            (fleet.given(ref="none"), "remote ref none"),
            (fleet.given(signers="stranger"), "not signed by an allowed signer"),
            ([*fleet.given(), "--inventory", "inventories/example.yml"], "no such host"),
        ):
            said = fleet.enroll(*words, *one, expect=1).output
            assert why in said
            assert fleet.left("claw0") == ""

        fleet.enroll(*fleet.given(), "--parallel", "2")
        again = fleet.enroll(*fleet.given(), "--json").json
        assert again["changed"] is False

        # From here on only the hosts act; this machine pushes, and looks.
        def reached(commit: str) -> bool:
            found = [fleet.result(name) for name in fleet.hosts]
            return all(
                (one.get("state"), one.get("commit")) == ("converged", commit) for one in found
            )

        until(lambda: reached(first), 1200, "all hosts have the first commit")
        assert zones(fleet) == {"Europe/Berlin"}
        second = fleet.push("Europe/Paris")
        until(lambda: reached(second), 1200, "all hosts have the change")
        assert zones(fleet) == {"Europe/Paris"}
        since = [fleet.healthy_since(name) for name in fleet.hosts]
        assert since[0] <= since[1] <= min(since[2:], default=since[1])  # they have one clock

        bad = fleet.push("Europe/Rome", BAD)
        expected = dict.fromkeys(fleet.hosts, "waiting") | {"claw0": "failed"}

        def stopped() -> bool:
            told = [fleet.result(name).get("message", "") for name in [*fleet.hosts][1:]]
            return states(fleet) == expected and all("claw0 failed" in one for one in told)

        until(stopped, 600, "the bad change stops at ring 0")
        assert {fleet.result(name)["commit"] for name in fleet.hosts} == {bad}
        assert {fleet.sh(name, f"cat {CHANGED}") for name in [*fleet.hosts][1:]} == {"Europe/Paris"}

        mended = fleet.push("Europe/Madrid")
        until(lambda: reached(mended), 1200, "the mended change reaches all")

        fleet.push("Europe/Oslo", key="stranger")
        refused = dict.fromkeys(fleet.hosts, "refused")
        until(lambda: states(fleet) == refused, 600, "the forged change is refused")
        assert zones(fleet) == {"Europe/Madrid"}

        fleet.git("push", "-q", "--force", fleet.url, f"{first}:refs/heads/main")
        older = f"{first} is not a descendant of {mended}"
        until(
            lambda: all(older in fleet.result(name)["message"] for name in fleet.hosts),
            600,
            "an older commit is refused",
        )
        assert zones(fleet) == {"Europe/Madrid"}
    finally:
        fleet.enroll("--remove")
    assert [fleet.left(name) for name in fleet.hosts] == [""] * number
    assert fleet.git("ls-remote", fleet.url, "refs/openclaw-pull/*") == ""
    assert fleet.enroll("--remove", "--json").json["changed"] is False


def test_a_bare_host_becomes_a_gateway_by_itself_and_stays_one(
    deployed: Deployment, fresh_host, lab_host, tmp_path: Path
):
    secret = f"canary-{secrets.token_hex(8)}"
    fleet = Fleet(
        tmp_path,
        lab_host(label="pull-git"),
        [fresh_host(like=deployed.vps.name)],
        deploy=None,
        gateway={"ready_timeout": 900},
        credentials={"ANTHROPIC_API_KEY": {"env": "OF_THE_HOST"}},
    )
    commit = fleet.push("UTC")
    said = fleet.enroll(*fleet.given(), expect=1).output
    assert "environment variable OF_THE_HOST" in said
    assert "/etc/openclaw-pyinfra/openclaw.environment" in said
    assert fleet.left("claw0") == ""

    place = "/etc/openclaw-pyinfra"
    given = f"umask 077; mkdir -p {place}; echo OF_THE_HOST={secret} >{place}/openclaw.environment"
    fleet.sh("claw0", given)
    fleet.enroll(*fleet.given())
    until(lambda: "state" in fleet.result("claw0"), 2400, "the host has run")
    assert fleet.result("claw0")["state"] == "converged", fleet.result("claw0")
    assert fleet.result("claw0")["commit"] == commit
    ready = "curl -fsS -o /dev/null -w '%{http_code}' http://127.0.0.1:18789/readyz"
    assert fleet.sh("claw0", ready) == "200"
    assert secret in fleet.sh("claw0", "cat /opt/openclaw/.env")
    told = "journalctl -u openclaw-pull; cat /var/lib/openclaw-pyinfra/openclaw.pull/{result,said}"
    assert secret not in fleet.sh("claw0", told)

    # Each run after that changes nothing, and what drifts is mended.
    running = "docker inspect -f '{{.Id}} {{.State.StartedAt}}' openclaw-openclaw-gateway-1"
    was, last = fleet.sh("claw0", running), fleet.result("claw0")["time"]
    until(lambda: fleet.result("claw0")["time"] > last, 600, "another run")
    assert "nothing to change" in fleet.result("claw0")["message"]
    assert fleet.sh("claw0", running) == was
    fleet.sh("claw0", "docker rm -f openclaw-openclaw-gateway-1")
    until(lambda: fleet.sh("claw0", ready) == "200", 900, "the gateway is back")

    # Not so what was stopped on purpose.
    claw("stop", str(fleet.inventory), "-y", "--wait-lock", "600")
    stopped = "the gateway is stopped on purpose"
    until(lambda: stopped in fleet.result("claw0")["message"], 600, "it stays stopped")
    claw("remove", str(fleet.inventory), "-y")
    assert fleet.left("claw0") == ""
