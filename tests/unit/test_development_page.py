"""docs/development.md shows the code as it is, and its answers are where it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/development.md").read_text(encoding="utf-8")
QUESTIONS = re.findall(r"^\| [^|`]+ \| `([^`|]+)` \| ([^|]+) \|$", PAGE, re.MULTILINE)


def test_the_page_begins_with_all_there_is_on_each_floor() -> None:
    assert re.findall(r"^## (.+)$", PAGE, re.MULTILINE)[0] == "The tree"
    tree = PAGE.split("```")[1]
    floors = re.split(r"^(?=\S)", tree, flags=re.MULTILINE)
    for floor in ("commandline", "operations", "toolkit"):
        shown = next(one for one in floors if one.startswith(f"{floor}/"))
        there = [
            path.stem
            for path in (ROOT / floor).iterdir()
            if (path.suffix == ".py" and not path.stem.startswith("__"))
            or (path / "__init__.py").exists()
        ]
        assert [one for one in there if not re.search(rf"\b{one}\b", shown)] == []


def test_there_are_ten() -> None:
    assert len(QUESTIONS) == 10


@pytest.mark.parametrize(("file", "names"), QUESTIONS)
def test_each_is_answered_where_it_says(file: str, names: str) -> None:
    text = (ROOT / file).read_text(encoding="utf-8")
    for name in re.findall("`([^`]+)`", names):
        made = rf"^\s*(def {name}\b|class {name}\b|{name}\b.* = |{name}\(\) \{{)"
        assert re.search(made, text, re.MULTILINE), (file, name)
