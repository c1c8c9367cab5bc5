"""`./claw open`: what of OpenClaw's answer is opened, and how a browser learns of it."""

from __future__ import annotations

import html
import json
import re
import stat
from pathlib import Path

import pytest

from commandline import asking
from commandline.asking import VerbError
from commandline.verbs import open as opening

LINK = "http://127.0.0.1:18789/#bootstrapToken=abc&gatewayUrl=ws%3A%2F%2F127.0.0.1%3A18789"


def said(**answer: object) -> str:
    return json.dumps({"ok": True, **answer})


def test_the_link_is_found_among_what_else_is_said() -> None:
    assert opening.link_of(f"notice\n{said(browserUrl=LINK)}\n", 18789) == LINK


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "[]",
        "{" * 10000,
        said(),
        said(browserUrl=None),
        said(browserUrl=LINK.replace("18789/", "18790/")),
        said(browserUrl=LINK.replace("127.0.0.1:18789/", "evil.example/")),
        said(browserUrl="http://127.0.0.1:18789@evil.example/"),
        said(browserUrl="javascript:alert(1)"),
        said(browserUrl=LINK + '\n"><script>'),
        said(browserUrl=LINK + "\x1b]0;x\x07"),
    ],
)
def test_what_does_not_lead_to_the_tunnel_is_refused(answer: str) -> None:
    with pytest.raises(VerbError):
        opening.link_of(answer, 18789)


def test_openclaws_own_reason_is_said() -> None:
    with pytest.raises(VerbError, match="the Gateway is not ready"):
        opening.link_of(json.dumps({"ok": False, "reason": "the Gateway is not ready"}), 18789)


def test_the_link_is_in_a_file_of_the_user_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(asking, "at_interruption", [])
    page = opening._page(LINK)
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    assert stat.S_IMODE(page.parent.stat().st_mode) == 0o700
    (target,) = re.findall('url=(.*)">', page.read_text())
    assert html.unescape(target) == LINK
    for one in asking.at_interruption:
        one()
    assert not list(tmp_path.iterdir())
