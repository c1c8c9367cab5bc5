"""`./claw status --watch`: what fits on the terminal, and who is asked again."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import click
import pytest
from rich.console import Console

from commandline import asking
from commandline.asking import Answer
from commandline.screen.display import Display
from commandline.screen.given import Given
from commandline.verbs import status
from operations.base.preflight import Problem
from operations.lifecycle.status import Status
from toolkit.terminal import Screen

FINE = Status("openclaw", deployed=True, state="running", ready=True, up_seconds=60)
BAD = replace(FINE, ready=False, attention=(Problem("it hangs", "./claw doctor"),))


def shown(answers: asking.Answers, height: int) -> list[str]:
    out = io.StringIO()
    console = Console(file=out, width=80)
    console.print(status.view(answers, Given("f.yml"), height, "07:36:00"))
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_a_fleet_that_fits_is_shown_as_status_shows_it() -> None:
    lines = shown({"a": Answer(FINE), "b": Answer(BAD)}, 24)
    assert lines == [
        "Host  Gateway",
        "a     ready, 1 min",
        "b     not ready",
        "b: it hangs: ./claw doctor f.yml --limit b",
        "07:36:00; Ctrl-C ends it",
    ]


@pytest.mark.parametrize("height", [5, 10, 24])
def test_of_a_large_one_what_is_not_ready_is_shown(height: int) -> None:
    answers = {f"h{number}": Answer(FINE) for number in range(60)}
    answers |= {"h50": Answer(BAD), "h51": Answer(error="no answer")}
    lines = shown(answers, height)
    assert len(lines) <= height
    said = "\n".join(lines)
    assert "h50" in said and "h51" in said
    left = 60 - (height - 3)
    assert f"and {left} more, {left} of them ready" in said
    assert "2 more lines want attention" in said


def test_one_host_is_a_column_and_its_lines_have_an_end() -> None:
    many = tuple(Problem(f"trouble {number}", "mend it") for number in range(40))
    lines = shown({"a": Answer(replace(BAD, attention=many))}, 24)
    assert len(lines) <= 24
    assert "trouble 0: mend it" in lines
    assert "more lines want attention" in lines[-1]


@pytest.mark.parametrize(
    ("typed", "said"),
    [(("--json",), "--watch and --json"), (("--check",), "--watch and --check")],
)
def test_what_it_is_the_opposite_of(typed: tuple[str, ...], said: str) -> None:
    with pytest.raises(click.UsageError, match=said):
        status.status.main(["--watch", *typed], standalone_mode=False)


def test_without_a_terminal_it_is_refused_before_a_host_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[str] = []

    def fail(message: str) -> None:
        told.append(message)
        raise click.Abort

    monkeypatch.setattr(status, "fail", fail)
    monkeypatch.setattr(asking, "opened", lambda *_, **__: pytest.fail("a host was asked"))
    with pytest.raises(click.Abort):
        status.status.main(["--watch"], standalone_mode=False)
    assert told == [
        "--watch shows a table that moves and needs a terminal; elsewhere: --json, --check"
    ]


@dataclass(frozen=True)
class Named:
    name: str


class Session:
    """Two hosts, of which one is connected at the second try."""

    def __init__(self) -> None:
        self.hosts: list[Any] = [Named(name) for name in "ab"]
        self.display = Display(Screen(file=io.StringIO()))
        self.options = SimpleNamespace(given=Given())
        self.unreachable = {"a": "cannot connect: refused"}
        self.closed = False

    @property
    def active(self) -> list[Any]:
        return [host for host in self.hosts if host.name not in self.unreachable]

    def connect(self) -> None: ...

    def close(self) -> None:
        self.closed = True

    def connect_again(self, host: Any) -> str | None:
        return self.unreachable.pop(host.name, None) and None

    def on_each(self, hosts: list[Any], function: Any) -> dict[Any, Any]:
        return {host: function(host) for host in hosts}


def test_who_cannot_be_connected_is_tried_again_and_who_fails_does_not_end_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(asking, "at_interruption", [])
    session: Any = Session()
    asked: list[str] = []

    def question(host: Any) -> str:
        asked.append(host.name)
        if asked.count("b") == 2:
            raise OSError("it broke off")
        return "fine"

    answers = asking.watch(session, question, "Looking")
    assert [one.error or one.value for one in next(answers).values()] == [
        "cannot connect: refused",
        "fine",
    ]
    second = next(answers)
    assert list(second) == ["a", "b"]
    assert second["a"] == Answer("fine")
    assert second["b"].error == "it broke off"
    assert next(answers)["b"] == Answer("fine")
    (close,) = asking.at_interruption
    close()
    assert session.closed
