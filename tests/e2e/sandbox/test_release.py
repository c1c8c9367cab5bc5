"""A release that breaks, and the way back; in the default tier on the gateway that it has."""

from __future__ import annotations

import json

import pytest

from tests.e2e.harness import Deployment
from tests.e2e.swapping import BROKEN, build, image, plant, retag, running, up

pytestmark = pytest.mark.engine


def test_a_second_run_leaves_the_container_alone(sandboxed: Deployment) -> None:
    was = running(sandboxed)
    assert up(sandboxed) == []
    assert running(sandboxed) == was


def test_a_broken_release_is_rolled_back_with_its_state(sandboxed: Deployment) -> None:
    canary = plant(sandboxed)
    good = image(sandboxed, f"{sandboxed.name}:local")
    broken = build(sandboxed, BROKEN, "broken")
    retag(sandboxed, broken)
    was = running(sandboxed)
    result = sandboxed.claw("up", expect=1)
    assert 'rehearsal: failed at the step "start"' in result.output
    assert "cannot migrate" in result.output
    assert "the old gateway serves as before" in result.output
    assert sandboxed.token() not in result.output
    assert running(sandboxed) == was and sandboxed.http() == 200
    assert image(sandboxed, f"{sandboxed.name}:local") == good
    assert sandboxed.sh(f"docker volume ls -q --filter name={sandboxed.name}-rehearsal") == ""

    retag(sandboxed, broken)
    result = sandboxed.claw("up", "--no-rehearsal", expect=1)
    assert "cannot migrate; the token is (hidden)" in result.output
    assert "the last good one is running again" in result.output
    assert sandboxed.token() not in result.output
    assert sandboxed.http() == 200
    assert sandboxed.container()["Image"] == good == image(sandboxed, f"{sandboxed.name}:local")
    assert sandboxed.sh(f"cat {canary}") == "original\n"
    assert sandboxed.sh(f"test -d /var/lib/{sandboxed.name}/config/media && echo there").strip()
    was = running(sandboxed)
    assert up(sandboxed) == []
    assert running(sandboxed) == was


def test_the_gateway_is_not_known_by_what_it_keeps_secret(sandboxed: Deployment) -> None:
    shown = sandboxed.container()
    assert sandboxed.token() not in json.dumps(shown["Config"]["Labels"])
    assert sandboxed.token() not in sandboxed.sh(f"cat /opt/{sandboxed.name}/docker-compose*.yml")
