"""Sandboxes of an earlier image or policy: named, recreated when idle, left when in use."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.harness import Deployment
from tests.e2e.sandbox.conftest import live_turn

pytestmark = [pytest.mark.engine, pytest.mark.whole]


def listed(one: Deployment, **settings: Any) -> list[dict[str, Any]]:
    answer = one.claw("sandboxes", "--json", settings=settings).json
    return list(answer["hosts"]["@local"]["sandboxes"])


def test_a_sandbox_of_another_image_is_stale_and_recreated_on_request(sandboxed: Deployment):
    """OpenClaw compares names of images, and so does not see that this one changed."""
    sandbox = live_turn(sandboxed)
    (found,) = listed(sandboxed)
    assert (found["name"], found["reasons"]) == (sandbox["Name"].lstrip("/"), [])
    tag = sandbox["Config"]["Image"]
    sandboxed.sh(f"docker tag {tag} {tag}-kept")
    build = f"printf 'FROM {tag}-kept\\nLABEL other=1\\n' | docker build -q -t {tag} -"
    other = sandboxed.sh(build).strip()
    try:
        (found,) = listed(sandboxed)
        assert "image id is" in found["reasons"][0]
        assert found["idle_seconds"] < 300
        assert len(sandboxed.sandboxes()) == 1  # looking removes nothing
        sandboxed.claw("sandboxes", "--recreate")
        assert sandboxed.sandboxes() == []
    finally:
        sandboxed.sh(f"docker tag {tag}-kept {tag} && docker rmi {tag}-kept {other}")


@pytest.mark.long
def test_up_leaves_a_stale_sandbox_in_use_and_recreates_an_idle_one(sandboxed: Deployment):
    changed: dict[str, Any] = {"sandbox": {"container": {"pids_limit": 200}}}
    old = live_turn(sandboxed)
    try:
        result = sandboxed.claw("up", settings=changed)
        name = old["Name"].lstrip("/")
        assert f"{name} (main, in use)" in result.stdout
        assert "pids is 256, not 200" in result.stdout
        (still,) = sandboxed.sandboxes()
        assert still["Id"] == old["Id"] and still["State"]["Running"]
        # Used longer ago than OpenClaw's window of five minutes.
        sandboxed.sh(f"docker stop -t 1 {old['Id']}")
        assert (
            "Recreate idle sandboxes"
            in sandboxed.claw("up", "--dry", expect=2, settings=changed).stdout
        )
        sandboxed.claw("up", settings=changed)
        assert sandboxed.sandboxes() == []
        assert live_turn(sandboxed)["HostConfig"]["PidsLimit"] == 200
        assert "nothing to change" in sandboxed.claw("up", settings=changed).stdout
    finally:
        sandboxed.claw("sandboxes", "--recreate", "--all")
        sandboxed.claw("up")
