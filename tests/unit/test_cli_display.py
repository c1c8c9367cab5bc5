"""What is printed while a run is under way, when the output is not a terminal."""

from __future__ import annotations

import io
import logging

import pytest
from rich.console import Console

from commandline.screen import display as module
from commandline.screen.display import Display, LogHandler, clean, duration, split_prefix
from commandline.screen.given import Given


@pytest.fixture
def display() -> Display:
    shown = Display(Console(file=io.StringIO(), width=60))
    shown.hosts = ["a"]
    return shown


def text(display: Display) -> str:
    assert isinstance(display.console.file, io.StringIO)
    return display.console.file.getvalue()


def test_build_steps_are_shown_once_and_other_output_is_not(display: Display) -> None:
    display.begin("a", "Images | Build")
    for line in ("#5 [stage 1/7] FROM base", "#5 DONE 0.1s", "#5 [stage 1/7] FROM base", "noise"):
        display.output("a", line)
    assert text(display).splitlines() == ["… Images | Build", "    #5 [stage 1/7] FROM base"]


def test_long_lines_are_not_broken(display: Display) -> None:
    display.begin("a", "Images | Build")
    display.output("a", "#6 [stage 2/7] RUN " + "x" * 200)
    assert "x" * 200 in text(display)


def test_heartbeat_every_15_seconds(display: Display, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    display.begin("a", "Images | Build")
    display.running["a"].started = clock[0]
    display.output("a", "fetching")
    for clock[0] in (100.5, 115.1, 115.2, 131.0):
        display._refresh()
    assert text(display).splitlines() == [
        "… Images | Build",
        "    still running, 15 s on a: fetching",
        "    still running, 30 s on a: fetching",
    ]


def heartbeat(display: Display, host: str) -> str:
    """The line that is printed when something has gone on for 15 seconds."""
    display.running[host].started -= 15.5
    display._refresh()
    return text(display).splitlines()[-1]


def test_what_says_nothing_is_named(display: Display) -> None:
    display.begin("a", "Gateway configuration | Merge")
    assert heartbeat(display, "a") == "    still running, 15 s on a: Gateway configuration | Merge"


def test_a_build_says_which_step_goes_on(display: Display) -> None:
    display.begin("a", "Images | Build")
    for line in (
        *("#5 [base 1/3] FROM x", "#5 DONE 0.1s", "#6 [base 2/3] RUN apt-get", "#6 1.2 Get:1"),
        *("#7 [npm 1/2] RUN npm install", "#7 CACHED", "#6 2.0 Unpacking"),
    ):
        display.output("a", line)
    assert heartbeat(display, "a").endswith(" s on a: [base 2/3] RUN apt-get")


def test_an_operation_says_what_it_waits_for(display: Display) -> None:
    display.waits = {"a": "an agent's turn"}.get  # type: ignore[assignment]
    display.begin("a", "Verification | Verify")
    assert heartbeat(display, "a") == "    still running, 15 s on a: an agent's turn"


def test_a_phase_names_the_hosts_that_it_waits_for(display: Display) -> None:
    display.hosts = [f"h{number}" for number in range(9)]
    display.awaited = dict.fromkeys(display.hosts)
    display.waits = lambda host: "its turn" if host == "h1" else ""
    with display.phase("Verifying"):
        said = heartbeat(display, "")
        assert said == "    still running, 15 s: h1 (its turn), h0, h2, h3, h4, 4 more"
        assert text(display).startswith("… Verifying: h1 (its turn), h0, h2")
        before = text(display)
        display.awaited.clear()  # all have begun to answer
        display.running[""].started -= 100
        display._refresh()
        assert text(display) == before


def test_quiet_is_silent_but_for_what_is_wrong(display: Display) -> None:
    display.verbosity = -1
    for failed in (False, True):
        display.begin("a", "Images | Build")
        display.output("a", "#5 [stage 1/7] FROM base")
        display.running["a"].started -= 100
        display._refresh()
        display.end("a", changed=True, failed=failed)
    display.warn("careful")
    assert [line.split()[0] for line in text(display).splitlines()] == ["✗", "careful"]


def test_unchanged_operations_are_silent_unless_asked(display: Display) -> None:
    display.begin("a", "x")
    display.end("a", changed=False)
    assert text(display) == ""
    display.verbosity = 1
    display.begin("a", "x")
    display.end("a", changed=False)
    assert text(display).startswith("= x")


def test_end_returns_the_tail_of_the_output(display: Display) -> None:
    display.begin("a", "x")
    for number in range(100):
        display.output("a", f"line {number}")
    tail = display.end("a", changed=False, failed=True)
    assert tail[-1] == "line 99"
    assert len(tail) == module.TAIL_LINES
    assert "✗ x" in text(display)


def test_hosts_are_named_when_there_are_several(display: Display) -> None:
    display.hosts = ["a", "b"]
    display.for_host("b", "hello")
    assert text(display) == "[b] hello\n"


def test_output_is_shown_at_verbosity_3_without_redacted_text(display: Display) -> None:
    display.verbosity = 3
    display.redactions.append("export MARK=1 && ")
    display.output("a", ">>> sh -c 'export MARK=1 && true'")
    display.output("a", "done")
    assert text(display) == "    >>> sh -c 'true'\n    done\n"


def test_markup_in_output_is_text(display: Display) -> None:
    display.verbosity = 3
    display.output("a", "[bold]x[/bold] [/nothing]")
    assert "[bold]x[/bold] [/nothing]" in text(display)


def test_errors_of_pyinfra_go_to_the_tail_warnings_to_the_user(display: Display) -> None:
    handler = LogHandler(display, Given())

    def log(level: int, message: str) -> None:
        handler.emit(logging.LogRecord("pyinfra", level, "", 0, message, None, None))

    display.begin("a", "x")
    log(logging.ERROR, "[a] Command timed out after 3s")
    log(logging.ERROR, "[a] Error: executed 0 commands")
    log(logging.WARNING, "[a] careful")
    log(logging.INFO, "[a] Connected")
    assert text(display) == "careful\n"
    assert display.end("a", changed=False) == ["Command timed out after 3s"]


@pytest.mark.parametrize(
    ("line", "split"),
    [
        ("[a] x", ("a", "x")),
        ("[a]   padded", ("a", "padded")),
        ("[a]     more than padded", ("a", "  more than padded")),
        ("[a]", ("a", "")),
        ("[::1] x", ("::1", "x")),
        ("[unknown] x", ("", "[unknown] x")),
        ("plain", ("", "plain")),
    ],
)
def test_split_prefix(line: str, split: tuple[str, str]) -> None:
    assert split_prefix(line, ["a", "::1"], 3) == split


def test_clean_keeps_the_last_state_of_a_line() -> None:
    assert clean("\x1b[31m10%\r\x1b[2K100%\x1b[0m\r\n") == "100%"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.04, "0.0 s"), (12.4, "12 s"), (59.7, "1 min 00 s"), (185, "3 min 05 s")],
)
def test_duration(seconds: float, words: str) -> None:
    assert duration(seconds) == words
