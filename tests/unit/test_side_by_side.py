"""Tests in several processes: each once, and what shares a deployed gateway by one of them."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.side_by_side import WORKERS, Worker, groups, screen, shown


def item(name: str, *fixtures: str, **params: str) -> Any:
    path = Path(f"tests/{name}.py")
    called = SimpleNamespace(params=params)
    return SimpleNamespace(
        nodeid=f"{path}::test", path=path, fixturenames=fixtures, callspec=called
    )


ITEMS = [
    item("unit/a"),
    item("unit/words", word="deployed"),
    item("e2e/cheap", "engine"),
    item("e2e/b", "deployed"),
    item("e2e/c", "deployed_trixie"),
    item("e2e/d", fixture="gateway"),
    item("e2e/both", "deployed_trixie", "deployed"),
    item("e2e/own", "fresh_host"),
    item("e2e/here", "local_deployment"),
    item("unit/a"),
]


def test_what_shares_a_deployed_gateway_is_together_and_before_what_has_none() -> None:
    names = [[one.path.stem for one in group] for group in groups(ITEMS)]
    assert names == [["a", "a"], ["words"], ["b", "c", "both"], ["d"], ["own"], ["here"], ["cheap"]]


def test_each_test_is_taken_once(tmp_path: Path) -> None:
    one, other = (Worker(tmp_path, os.open(os.devnull, os.O_WRONLY)) for _ in range(2))
    first, second = one._taken(ITEMS), other._taken(ITEMS)
    taken = [next(first), next(second)]
    taken += [*first, *second]
    assert sorted(map(id, taken)) == sorted(map(id, ITEMS))


def test_failures_are_said_at_once_and_all_is_counted(capsys) -> None:
    test = {"pid": 1, "test": "tests/e2e/x.py::test"}
    events = [
        {**test, "number": 3},
        {**test, "doing": "making the image"},
        {**test, "outcome": "failed"},
        {**test, "outcome": "passed"},
        *[{**test, "ended": True}] * WORKERS,
        {**test, "outcome": "of one that was left behind"},
    ]
    assert shown(iter(events), WORKERS) == {"failed": 1, "passed": 1}
    said = capsys.readouterr().err.splitlines()
    assert said == ["   0 s, 0/3: e2e/x.py::test: making the image", "FAILED tests/e2e/x.py::test"]


def test_what_is_waited_for_is_seen_in_a_narrow_terminal() -> None:
    drawn = screen(["1 s, 2/3", "e2e/test_x.py::test_y: making the image", "e2e/a"], 20)
    assert drawn == "\r\x1b[J1 s, 2/3\n…: making the image\ne2e/a\x1b[2A\r"
