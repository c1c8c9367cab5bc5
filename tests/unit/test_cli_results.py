"""Exit codes and the JSON document of a run."""

from __future__ import annotations

import json
from typing import Any

import pytest

from commandline.results import HostResult, OperationResult, RunResult, split_name

CHANGED = OperationResult("Engine | Install", 2.0, True)
SAME = OperationResult("Engine | Configure", 0.5, False)


def run(**arguments: Any) -> RunResult:
    return RunResult(hosts={"a": HostResult(), "b": HostResult(**arguments)})


@pytest.mark.parametrize(
    ("result", "code"),
    [
        (RunResult(hosts={"a": HostResult()}), 0),
        (run(operations=[CHANGED, SAME], planned=["Engine | Install"]), 0),
        (run(failed="Engine | Install"), 1),
        (RunResult(error="the settings are wrong"), 1),
        (RunResult(declined=True), 1),
        (RunResult(dry=True, hosts={"a": HostResult()}), 0),
        (RunResult(dry=True, hosts={"a": HostResult(planned=["x"])}), 2),
        (
            RunResult(
                dry=True, hosts={"a": HostResult(planned=["x"]), "b": HostResult(failed="y")}
            ),
            1,
        ),
        (RunResult(interrupted=[], hosts={"a": HostResult(failed="interrupted")}), 130),
    ],
)
def test_exit_code(result: RunResult, code: int) -> None:
    assert result.exit_code == code
    assert json.loads(json.dumps(result.document()))["exit_code"] == code


def test_document_counts_by_stage() -> None:
    document = run(operations=[CHANGED, SAME]).document()
    assert document["changed"] is True
    assert document["hosts"]["a"]["changed"] == []
    assert document["hosts"]["b"]["changed"] == ["Engine | Install"]
    assert document["hosts"]["b"]["unchanged"] == 1
    assert document["stages"] == [
        {"name": "Engine", "host": "b", "seconds": 2.5, "operations": 2, "changed": 1}
    ]
    assert "plan" not in document


def test_dry_document_has_the_plan() -> None:
    result = RunResult(dry=True, hosts={"a": HostResult(planned=["Engine | Install"])})
    assert result.document()["plan"] == {"a": ["Engine | Install"]}


def test_stage_of_nested_and_bare_names() -> None:
    assert split_name("Engine | Install") == ("Engine", "Install")
    assert split_name("Install") == ("", "Install")
