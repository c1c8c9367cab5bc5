"""Which names are secrets' is said in one place, and each of its questions has its own answer."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from toolkit import secret_names

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("name", "plain", "possible"),
    [
        ("TELEGRAM_BOT_TOKEN", True, True),
        ("api-keys", True, True),
        ("passwd", True, True),
        ("tokens_per_minute", False, True),
        ("PUBLIC_KEY", False, True),
        ("baseUrl", False, True),
        ("env", False, True),
        ("environment", False, False),
        ("port", False, False),
    ],
)
def test_a_name_says_it_or_may(name: str, plain: bool, possible: bool) -> None:
    assert secret_names.plainly(name) is plain
    assert secret_names.perhaps(["models", name]) is possible


def test_a_variable_may_be_called_anything() -> None:
    assert secret_names.assigned("gateway.environment.X")
    assert not secret_names.assigned("gateway.port")
    assert secret_names.within(("sandbox", "container", "environment", "X"))
    assert secret_names.within(("credentials", "X", 0))
    assert not secret_names.within(("images", "registry", "address"))


def test_no_other_file_has_a_list_of_its_own() -> None:
    listed = re.compile(r"(token|secret|credential|passw)\w*\|\w", re.IGNORECASE)
    for floor in ("toolkit", "operations", "commandline", "templates"):
        for path in sorted((ROOT / floor).rglob("*")):
            if path.suffix in (".py", ".j2", ".sh") and path.name != "secret_names.py":
                found = listed.search(path.read_text(encoding="utf-8"))
                assert not found, (path, found)
