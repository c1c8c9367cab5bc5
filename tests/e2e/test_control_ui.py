"""A person opens the Control UI through the SSH tunnel that the summary prints."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.harness import ARTIFACTS, Deployment, tunnel, until

PATIENCE = 180_000
"""Milliseconds."""

pytestmark = [pytest.mark.engine, pytest.mark.browser, pytest.mark.whole]


def test_paste_the_token_be_approved_and_be_connected(deployed: Deployment, browser: Browser):
    """With every device to be approved by hand, the browser waits for `claw devices approve`."""
    approve_by_hand(deployed, True)
    token = deployed.claw("token").stdout.strip()
    try:
        with tunnel(deployed) as port:
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            page.goto(f"http://127.0.0.1:{port}/")
            page.get_by_placeholder("Paste the token").fill("0" * 64)
            page.get_by_role("button", name="Connect", exact=True).click()
            connected = page.get_by_text("Connected", exact=True)
            expect(connected).to_have_count(0)

            page.goto(f"http://127.0.0.1:{port}/")
            page.get_by_placeholder("Paste the token").fill(token)
            page.get_by_role("button", name="Connect", exact=True).click()
            expect(page.get_by_text("Approve this browser")).to_be_visible(timeout=PATIENCE)

            (host,) = deployed.claw("devices", "--json").json["hosts"].values()
            assert [one["age_seconds"] < 300 for one in host["pending"]] == [True]
            deployed.claw("devices approve")
            # For a screen reader too, where a new gateway's page begins with its settings.
            expect(connected).to_be_attached(timeout=PATIENCE)

            ARTIFACTS.mkdir(parents=True, exist_ok=True)
            page.screenshot(path=ARTIFACTS / "control-ui.png")
    finally:
        approve_by_hand(deployed, False)


def approve_by_hand(deployed: Deployment, by_hand: bool) -> None:
    """As its owner does without a run; the gateway takes it over while it runs."""
    section, began = "gateway.nodes.pairing", deployed.sh("date +%s").strip()
    key = f"{section}.autoApproveLocal"
    change = f"set {key} false" if by_hand else f"unset {key}"
    deployed.in_gateway(f"openclaw config {change}")
    logs = f"docker logs --since {began} {deployed.container()['Id']} 2>&1"
    applied = f"{logs} | grep -c 'applied ({section}' || true"
    until(lambda: int(deployed.sh(applied)), 60, "the gateway has read it")
