"""A browser opens the Control UI by https, with a certificate of an authority that it trusts, and
that another host of the laboratory is: over IPv6, and over IPv4."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Error, Page, WebSocket, expect

from tests.e2e.harness import ARTIFACTS, until
from tests.e2e.reached import DOMAIN, HERE, HERE_IPV4, Reached

pytestmark = [pytest.mark.engine, pytest.mark.long]

PATIENCE = 180_000
"""Milliseconds."""


def mapped(address: str) -> str:
    shown = f"[{address}]" if ":" in address else address
    return f"--host-resolver-rules=MAP {DOMAIN} {shown}"


def test_a_browser_is_let_in_by_approval_and_comes_back(
    reached: Reached,
    chromium: Callable[..., Browser],
    authority_in: Callable[[Path], Path],
    tmp_path: Path,
) -> None:
    """Over IPv6 and IPv4: it verifies the domain, asks for the token, waits for `claw devices
    approve`, is connected, and connects again by itself to a gateway that was restarted.
    """
    one = reached.one
    first = reached.exposed("https")
    assert f"Control UI  https://{DOMAIN}/" in first.stdout
    token = one.claw("token").stdout.strip()
    empty = tmp_path / "empty"
    empty.mkdir()
    with chromium(mapped(one.vps.ip), home=empty) as stranger:
        page = stranger.new_page()
        with pytest.raises(Error, match="ERR_CERT_AUTHORITY_INVALID"):
            page.goto(f"https://{DOMAIN}/")

    home = authority_in(reached.root)
    with ExitStack() as stack:
        pages: list[tuple[Page, list[WebSocket]]] = []
        for address, own in zip(reached.addresses.values(), (HERE_IPV4, HERE), strict=True):
            browser = stack.enter_context(chromium(mapped(address), home=home))
            page = browser.new_page(viewport={"width": 412, "height": 915})  # a phone's
            sockets = websockets(page)
            page.goto(f"https://{DOMAIN}/")
            page.get_by_placeholder("Paste the token").fill(token)
            page.get_by_role("button", name="Connect", exact=True).click()
            expect(page.get_by_text("Approve this browser")).to_be_visible(timeout=PATIENCE)
            (host,) = one.claw("devices", "--json").json["hosts"].values()
            (asks,) = host["pending"]
            assert asks["address"] == own, "the browser's own, not Caddy's"
            one.claw("devices approve")
            is_connected(page)
            pages.append((page, sockets))

        before = [len(sockets) for _, sockets in pages]
        one.claw("restart", "-y")
        for (page, sockets), number in zip(pages, before, strict=True):
            until(partial(more, page, sockets, number), PATIENCE / 1000, "another WebSocket")
            is_connected(page)
        ARTIFACTS.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=ARTIFACTS / "control-ui-https.png")


def websockets(page: Page) -> list[WebSocket]:
    """Those that the page opens, as it opens them."""
    found: list[WebSocket] = []
    page.on("websocket", lambda one: found.append(one))  # Playwright marks the function
    return found


def more(page: Page, sockets: list[WebSocket], number: int) -> bool:
    page.wait_for_timeout(100)  # events arrive while Playwright has the word
    return len(sockets) > number


def is_connected(page: Page) -> None:
    # For a screen reader too, where a new gateway's page begins with its settings.
    expect(page.get_by_text("Connected", exact=True)).to_be_attached(timeout=PATIENCE)
