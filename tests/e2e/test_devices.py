"""A phone asks to be let in, and is let in and out again by `./claw devices`."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from tests.e2e.harness import Deployment

ASKING = (Path(__file__).parent / "asking_device.mjs").read_text(encoding="utf-8")
pytestmark = pytest.mark.engine


def ask(deployed: Deployment, name: str, seed: str) -> str:
    """Have a device of a name and a key connect from an address that is not loopback."""
    text = base64.b64encode(ASKING.encode()).decode()
    node = f"node --input-type=module - {deployed.port} {name} {seed * 64}"
    return deployed.sh(
        f"echo {text} | base64 -d | docker exec -i {deployed.container()['Id']} {node}", None
    )


@pytest.mark.whole
def test_a_device_is_let_in_by_one_word_and_out_by_its_id(deployed: Deployment):
    assert "closed 1008 pairing required" in ask(deployed, "phone", "a")
    (before,) = deployed.claw("devices", "--json").json["hosts"].values()
    (asks,) = before["pending"]
    assert (asks["name"], asks["scopes"]) == ("phone", ["operator.read", "operator.write"])
    assert asks["address"].count(".") == 3 and asks["age_seconds"] < 300

    assert "closed 1008 pairing required" in ask(deployed, "other", "b")
    refused = deployed.claw("devices approve", expect=1)  # which one?
    assert "there are 2 devices that ask" in refused.stderr and "phone" in refused.stdout
    assert "closed 1008" in ask(deployed, "phone", "a")

    deployed.claw("devices approve", "--id", asks["request"][:8])
    assert "connected" in ask(deployed, "phone", "a")
    assert "approved other" in deployed.claw("devices approve").stdout
    for one in ("phone", "other"):
        (after,) = deployed.claw("devices", "--json").json["hosts"].values()
        (there,) = [device for device in after["paired"] if device["name"] == one]
        deployed.claw("devices revoke", "--id", there["id"])
    assert "closed 1008 pairing required" in ask(deployed, "phone", "a")
    (after,) = deployed.claw("devices", "--json").json["hosts"].values()
    (again,) = after["pending"]
    deployed.claw("cli", "--", "devices", "reject", again["request"])  # left as it was
    assert "nobody waits" in deployed.claw("pairing").stdout
