"""A verb that takes its time says what it waits for, on which host, on standard error."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import gevent
import pytest
from pyinfra.api.host import Host
from pyinfra.context import ctx_host

from commandline import asking, targets
from commandline.run.session import Options, Session
from commandline.screen.display import Display
from commandline.screen.live_display import LiveDisplay
from operations.base.waits import waiting
from toolkit.terminal import Screen


def until(condition: Callable[[], bool]) -> None:
    with gevent.Timeout(20):
        while not condition():
            gevent.sleep(0.01)


@pytest.mark.parametrize("kind", [Display, LiveDisplay])
def test_the_host_and_its_step_are_named_while_it_is_asked(kind: type[Display]) -> None:
    out = io.StringIO()
    console = Screen(file=out, width=200, force_terminal=kind is LiveDisplay)
    session = Session(Options(), kind(console, announce_after=0.0))
    with session.display:
        session.open()

    def question(host: Host) -> str:
        with ctx_host.use(host), waiting("an agent's turn"):
            until(lambda: "an agent's turn" in out.getvalue())
        return "done"

    (answer,) = asking.ask(session, question, "Verifying").values()
    assert answer.value == "done"
    said = out.getvalue()
    assert "Verifying" in said
    assert "@local (an agent's turn)" in said


@pytest.mark.parametrize("kind", [Display, LiveDisplay])
def test_an_inventory_that_takes_its_time_is_spoken_of(
    kind: type[Display], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A function that asks a cloud, or @terraform."""
    out = io.StringIO()
    console = Screen(file=out, width=200, force_terminal=kind is LiveDisplay)
    load = targets.load_inventory

    def slow(*arguments: Any) -> Any:
        until(lambda: "Reading the inventory" in out.getvalue())
        return load(*arguments)

    monkeypatch.setattr(targets, "load_inventory", slow)
    monkeypatch.setattr(asking, "ERRORS", console)
    monkeypatch.setattr(asking, "SILENT_SECONDS", 0.0)
    session = asking.opened(None, (), (), (), 0, moving=kind is LiveDisplay)
    assert [host.name for host in session.hosts] == ["@local"]


def test_what_answers_at_once_is_not_spoken_of() -> None:
    out = io.StringIO()
    session = Session(Options(), Display(Screen(file=out), announce_after=60))
    session.open()
    asking.ask(session, lambda host: "done", "Verifying")
    assert out.getvalue() == ""


@pytest.mark.parametrize("verbose", [0, -1, 1])
def test_only_a_terminal_has_lines_that_move(monkeypatch: Any, verbose: int) -> None:
    """And neither --quiet nor -v."""
    made: list[Display] = []

    class Fake(Session):
        def __init__(self, options: Options, display: Display) -> None:
            made.append(display)
            super().__init__(options, display)

    monkeypatch.setattr(asking, "Session", Fake)
    for there in (True, False):
        monkeypatch.setattr(asking, "ERRORS", Screen(file=io.StringIO(), force_terminal=there))
        asking.opened(None, (), (), (), verbose, moving=True)
    assert [isinstance(one, LiveDisplay) for one in made] == [verbose == 0, False]
    assert all(one.announce_after == 2 for one in made)
