"""The Control UI behind a proxy of one's own that knows its users, by OpenClaw's trusted-proxy
mode: Caddy with forward authentication on another host."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from lab import hosts as lab
from tests.e2e.reached import DOMAIN, Reached

pytestmark = [pytest.mark.engine, pytest.mark.long]

PATIENCE = 180_000
"""Milliseconds."""
CODE = ("-o", "/dev/null", "-w", "%{http_code}", "--http1.1")
INVOKE = ("-X", "POST", "-d", "{}", "-H", "Content-Type: application/json")
CLAIMS = ("-H", "X-Forwarded-For: 198.51.100.7", "-H", "X-Forwarded-User: me@example.org")


def test_who_the_proxy_knows_comes_in_and_nobody_else(reached: Reached) -> None:
    one, proxy = reached.one, reached.other

    def asked(path: str, *words: str, cookie: str = "") -> str:
        cookies = ("-H", f"Cookie: session={cookie}") if cookie else ()
        return reached.curl(path, *CODE, *words, *cookies, at=proxy.ip)

    first = reached.exposed("proxy")
    assert f"Control UI  https://{DOMAIN}/" in first.stdout
    assert "nothing to change" in reached.exposed("proxy").stdout

    assert asked("/readyz", cookie="me") == "200"
    invoke = "/tools/invoke"
    assert asked(invoke, *INVOKE, cookie="me") == "400", "let in, and asked for nothing there is"
    assert asked(invoke, *INVOKE, cookie="other") == "401", "known, and none of the users"
    assert asked(invoke, *INVOKE) == "401"
    forged = (*INVOKE, "-H", "X-Forwarded-User: me@example.org")
    assert asked(invoke, *forged, cookie="other") == "401" == asked(invoke, *forged)

    # Not through the proxy: from its machine, from a neighbour's, and on the host itself.
    def direct(*words: str) -> str:
        url = f"http://{one.vps.ip}:18789/tools/invoke"
        return shlex.join(["curl", "-s", "-m", "5", *CODE, *INVOKE, *words, url])

    assert lab.ssh(proxy.name, direct()).stdout in ("401", "403")
    assert lab.ssh(proxy.name, direct(*CLAIMS)).stdout == "401"
    assert lab.ssh(reached.neighbour.name, direct(*CLAIMS)).stdout == "000"
    assert one.sh(direct(*CLAIMS)) in ("401", "403")
    one.claw("verify")
    assert "nobody comes in by a token" in one.claw("rotate", "-y", expect=1).output
    assert "the way in is the proxy" in one.claw("open", expect=1).output


def test_a_browser_is_let_in_by_approval_and_asked_for_no_token(
    reached: Reached, chromium: Callable[..., Browser], authority_in: Callable[[Path], Path]
) -> None:
    reached.exposed("proxy")
    mapped = f"--host-resolver-rules=MAP {DOMAIN} {reached.other.ip}"
    with chromium(mapped, home=authority_in(reached.root)) as launched:
        context = launched.new_context()
        context.add_cookies([{"name": "session", "value": "me", "url": f"https://{DOMAIN}/"}])
        page = context.new_page()
        page.goto(f"https://{DOMAIN}/")
        expect(page.get_by_text("Approve this browser")).to_be_visible(timeout=PATIENCE)
        reached.one.claw("devices approve")
        expect(page.get_by_text("Connected", exact=True)).to_be_attached(timeout=PATIENCE)


def test_a_copy_of_its_state_gets_ready_in_a_rehearsal_and_in_a_drill(
    reached: Reached, tmp_path: Path
) -> None:
    one = reached.one
    reached.exposed("proxy")
    (tmp_path / "password").write_text("correct horse\n")
    password = {"file": str(tmp_path / "password")}
    one.settings["gateway"]["apt_packages"] = ["less"]  # another image
    one.settings["backup"] = {"repository": "/srv/backups", "password": password}
    try:
        assert "became ready on a copy of the state" in reached.exposed("proxy").output
        one.claw("backup")
        assert "was restored and became ready" in one.claw("drill").output
    finally:
        del one.settings["backup"]


def test_back_to_a_tunnel_nobody_is_believed(reached: Reached) -> None:
    one = reached.one
    reached.exposed("proxy")
    reached.exposed("tunnel")
    there = one.sh("cat /var/lib/openclaw/config/openclaw.json")
    assert "trustedProxies" not in there and "trustedProxy" not in there
    assert one.http() == 200
    assert reached.curl("/readyz", *CODE, "-H", "Cookie: session=me", at=reached.other.ip) == "502"
    one.claw("verify")
    assert "nothing to change" in reached.exposed("tunnel").stdout
