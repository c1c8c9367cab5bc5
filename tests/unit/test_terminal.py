"""What hosts, agents and files say reaches the terminal as text, by every way that leads there."""

from __future__ import annotations

import ast
import io
import json
import logging
import subprocess
import sys
import unicodedata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from commandline import asking, streaming
from commandline.asking import Answer
from commandline.results import HostResult, OperationResult, RunResult
from commandline.run import audit
from commandline.screen import reports, timeline
from commandline.screen.display import Display, LogHandler
from commandline.screen.fleet import HostLine
from commandline.screen.fleet import table as progress_table
from commandline.screen.given import Given
from commandline.screen.live_display import LiveDisplay
from commandline.screen.outcome import outcome_table
from commandline.screen.reports import Report
from commandline.verbs import (
    channels,
    devices,
    doctor,
    pairing,
    profiles,
    rollback,
    sandboxes,
    status,
    token,
    verify,
)
from commandline.verbs.profiles import Measured
from operations.base import notes
from operations.base.check import Check
from operations.base.notes import StaleSandbox
from operations.base.preflight import Problem
from operations.channels import Account
from operations.devices import Device, Devices, Sender, Senders
from operations.lifecycle.generations import Generation
from operations.lifecycle.status import Backups, Status
from operations.sandbox.running import Sandbox
from tests.unit import sources
from toolkit import terminal
from toolkit.settings import Settings
from toolkit.terminal import Guard, Screen, printable

ROOT = Path(__file__).resolve().parents[2]
MARKUP = "[/red][bold]x[/bold][link=http://a.example]y[/link]:smile:"
HOSTILE = (
    "\x1b]52;c;ZXZpbA==\x07\x1b[2J\x1b[31m\x1bPq\x1b\\\x9b2J\x9d0;t\x9c\x07\x08\r\x0e\x7f\x85"
    "\u202eevil\u202c\u2066\u2069\u200f\u061c\u2028\ufeff\U000e0041\udcff" + MARKUP
)


def acting(text: str) -> set[str]:
    """The characters of a text that a terminal does not show as they are."""
    kinds = {character: unicodedata.category(character) for character in set(text) - {"\n", "\t"}}
    return {one for one, kind in kinds.items() if kind in ("Cc", "Cs", "Zl", "Zp", "Cf")}


def screen() -> tuple[Screen, io.StringIO]:
    file = io.StringIO()
    return Screen(file=file, width=4000), file


def test_nothing_that_acts_is_printable_and_what_is_visible_stays():
    """All of Unicode, but for signs that have a shape although they belong to the next letter."""
    shaped = {*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD}
    shaped |= {*range(0x13430, 0x13440)}
    codes = [*range(0x3000), *range(0xD800, 0x20000), *range(0xE0000, 0xE1000)]
    everything = "".join(chr(code) for code in codes if code not in shaped)
    shown = printable(everything)
    assert len(shown) == len(everything)
    assert not acting(shown)
    replaced = [one for one, after in zip(everything, shown, strict=True) if one != after]
    assert {unicodedata.category(one)[0] for one in replaced if ord(one) < 0xE0000} == {"C", "Z"}
    assert printable("a\tb\n") == "a\tb\n"
    assert printable("\x1b[0m\x7f") == "␛[0m␡"


def a_run() -> RunResult:
    operation = OperationResult(f"{HOSTILE} | {HOSTILE}", 1.0, True, 0.0, failed=True)
    one = HostResult(
        planned=[f"{HOSTILE} | {HOSTILE}"],
        operations=[operation],
        failed=HOSTILE,
        version=HOSTILE,
        health=HOSTILE,
        output=[HOSTILE],
        problems=[{"what": HOSTILE, "fix": HOSTILE}],
    )
    return RunResult(
        hosts={HOSTILE: one, "b": HostResult(left_out=HOSTILE), "c": HostResult(planned=[HOSTILE])},
        error=HOSTILE,
        interrupted=[HOSTILE],
        timeline=HOSTILE,
    )


STATUS = Status(
    deployment=HOSTILE,
    deployed=True,
    engine=HOSTILE,
    compose=HOSTILE,
    openclaw=HOSTILE,
    state="running",
    health=HOSTILE,
    started=HOSTILE,
    image=HOSTILE,
    image_digest=HOSTILE,
    image_inputs=HOSTILE,
    ports=(HOSTILE,),
    ready=True,
    newer_release=HOSTILE,
    backups=Backups(failed=HOSTILE, drill_failed=HOSTILE),
    attention=(Problem(HOSTILE, HOSTILE),),
)
CHECKS = [
    Check(HOSTILE, outcome, HOSTILE, group, HOSTILE, HOSTILE)
    for outcome in ("ok", "failed", "unknown")
    for group in (HOSTILE, "")
]
SANDBOX = Sandbox(HOSTILE, HOSTILE, HOSTILE, False, HOSTILE, HOSTILE, (HOSTILE,), 1.0)
DEVICE = Device(HOSTILE, HOSTILE, HOSTILE, HOSTILE, (HOSTILE,), (HOSTILE,), HOSTILE, 1)
ACCOUNT = Account(HOSTILE, HOSTILE, HOSTILE, True, True, True, False, HOSTILE)
SENDER = Sender(HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE, 1)
CONTAINER = {
    "calls": {},
    "capabilities": HOSTILE,
    "user": HOSTILE,
    "no_new_privileges": True,
    "writable": [HOSTILE],
    "interfaces": [HOSTILE],
}


def summary(report: Report) -> None:
    host: Any = SimpleNamespace(
        name=HOSTILE,
        data={},
        connector_data={},
    )
    found = notes.of(host)
    found.checks, found.form, found.warnings = CHECKS, HOSTILE, (HOSTILE,)
    found.stale = [StaleSandbox(HOSTILE, HOSTILE, (HOSTILE,))]
    other: Any = SimpleNamespace(name="b", data={}, connector_data={})
    operations = a_run().hosts[HOSTILE].operations
    done = RunResult(hosts={HOSTILE: HostResult(operations=operations, outcome=[HOSTILE])})
    report.summary(done, [host])
    report.summary(a_run(), [host, other])


WRITERS: dict[str, Any] = {
    "plan": lambda report: report.plan(a_run()),
    "failures": lambda report: report.failures(a_run()),
    "interruption": lambda report: report.interruption(a_run()),
    "summary": summary,
    "timeline": lambda report: report.timeline(a_run()),
}
TABLES: dict[str, Any] = {
    "status": lambda: status.table({HOSTILE: Answer(STATUS)}),
    "status of several": lambda: status.table(
        {HOSTILE: Answer(STATUS), "b": Answer(error=HOSTILE)}
    ),
    "checks": lambda: verify.table(HOSTILE, CHECKS),
    "sandboxes": lambda: sandboxes.table(HOSTILE, [SANDBOX]),
    "generations": lambda: rollback.table(
        HOSTILE, [Generation(1, HOSTILE, HOSTILE, 1, (HOSTILE,), HOSTILE)]
    ),
    "outcome": lambda: outcome_table(a_run()),
    "profiles": lambda: profiles.table(HOSTILE, Measured(HOSTILE, {HOSTILE: CONTAINER})),
    "progress": lambda: progress_table({HOSTILE: HostLine(HOSTILE, "✗")}, "", 4000, 20),
    "a string": lambda: HOSTILE,
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_report_is_text(name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(reports, "settings_for", lambda host: Settings())
    monkeypatch.setattr(reports.targets, "is_local", lambda host: True)
    (console, out), (errors, err) = screen(), screen()
    WRITERS[name](Report(console, errors, Given(HOSTILE)))
    written = out.getvalue() + err.getvalue()
    assert MARKUP in written
    assert not acting(written)


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_text(name: str):
    console, out = screen()
    console.print(TABLES[name]())
    assert "x[/bold]" in out.getvalue()
    assert not acting(out.getvalue())


def test_a_line_of_a_host_cannot_be_taken_for_another_hosts():
    console, out = screen()
    Report(console, console)._line("a: broken\nb: nothing to change")
    shown = Display(console)
    shown.hosts = ["a", "b"]
    shown.for_host("a", "broken\n[b] done")
    assert not [line for line in out.getvalue().splitlines() if line.startswith(("b", "[b]"))]


@pytest.mark.parametrize("kind", [Display, LiveDisplay])
def test_what_is_shown_while_a_run_goes_on_is_text(kind: type[Display]):
    console, out = screen()
    shown = kind(console, verbosity=3)
    shown.hosts = [HOSTILE, "b"]
    shown.expect([HOSTILE, "b"])
    with shown, shown.phase(HOSTILE):
        shown.begin(HOSTILE, HOSTILE)
        for line in (HOSTILE, f">>> {HOSTILE}"):
            shown.output(HOSTILE, line)
        handler = LogHandler(shown, Given())
        for level in (logging.ERROR, logging.WARNING, logging.INFO):
            text = f"[{HOSTILE}] {HOSTILE}"
            handler.emit(logging.LogRecord("pyinfra", level, "", 0, text, None, None))
        shown.say(HOSTILE)
        shown._refresh()
        tail = shown.end(HOSTILE, changed=True, failed=True)
        shown.finish(HOSTILE, HOSTILE, True)
        shown._refresh()
    assert MARKUP in out.getvalue()
    assert not acting(out.getvalue())
    assert tail
    assert not acting("".join(tail))


def test_what_is_kept_is_text():
    html = timeline.render(a_run(), HOSTILE, HOSTILE, HOSTILE)
    assert MARKUP in html
    assert not acting(html)
    run = a_run()
    assert not acting(audit.line(run.hosts[HOSTILE], HOSTILE, HOSTILE, HOSTILE, HOSTILE))
    assert not acting(json.dumps(run.document()).replace("\x7f", ""))  # the guard takes that one


def test_every_verb_prints_answers_and_errors_as_text(monkeypatch: pytest.MonkeyPatch):
    streams = {name: io.StringIO() for name in ("stdout", "stderr")}
    for name, stream in streams.items():
        monkeypatch.setattr(sys, name, Guard(stream))
    monkeypatch.setattr(asking, "leave", lambda code: None)
    monkeypatch.setattr(asking, "opened", lambda *_, **__: None)
    values = {
        channels.channels: (ACCOUNT,),
        devices.devices: Devices((DEVICE,), (DEVICE,)),
        pairing.pairing: Senders((SENDER,), (HOSTILE,)),
        verify.verify: [Check(HOSTILE, "ok", HOSTILE)],
        doctor.doctor: [Problem(HOSTILE, HOSTILE)],
        sandboxes.sandboxes: [SANDBOX],
        status.status: STATUS,
        token.token: HOSTILE,
    }
    for verb, value in values.items():
        monkeypatch.setattr(
            asking,
            "ask",
            lambda *_, value=value, **__: {HOSTILE: Answer(value), "b": Answer(error=HOSTILE)},
        )
        for as_json in ([], ["--json"]) if verb is not token.token else ([],):
            before = {name: stream.tell() for name, stream in streams.items()}
            verb.main(as_json, standalone_mode=False)
            new = "".join(one.getvalue()[before[name] :] for name, one in streams.items())
            assert "x[/bold]" in new, verb.name
            assert not acting(new), (verb.name, as_json)


def a_session(*hosts: str) -> Any:
    display = Display(Screen(file=io.StringIO()))
    display.hosts, display.longest = list(hosts), max(map(len, hosts))
    return SimpleNamespace(hosts=hosts, display=display)


def test_lines_of_many_hosts_keep_their_indentation(monkeypatch: pytest.MonkeyPatch):
    """On a terminal the names have our colours, and the hosts' own are gone."""
    lines = (
        "[a]    one: {",
        "[a]      two: 1",
        "[long] one",
        "[long]",
        "[long]   \x1b[31mtwo\x1b[0m",
    )
    written = {}
    for terminal_there in (True, False):
        stream = io.StringIO()
        monkeypatch.setattr(stream, "isatty", lambda there=terminal_there: there)
        monkeypatch.setattr(sys, "stdout", Guard(stream))
        monkeypatch.setenv("TERM", "xterm-256color")
        monkeypatch.delenv("NO_COLOR", raising=False)
        write = streaming._write_line(a_session("a", "long"))
        for line in lines:
            write(line)
        written[terminal_there] = stream.getvalue().splitlines()
    assert written[False] == [
        *("[a] one: {", "[a]   two: 1", "[long] one", "[long] ", "[long]   \x1b[31mtwo\x1b[0m")
    ]
    assert written[True][1].endswith("[a] \x1b[0m  two: 1")
    assert written[True][0].startswith("\x1b[36m[a]")
    assert written[True][4] == "\x1b[32m[long] \x1b[0m  two"


def test_a_difference_has_colours_and_its_indentation(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    out = io.StringIO()
    shown = Display(Screen(file=out, force_terminal=True))
    shown.hosts, shown.longest = ["a", "long"], 4
    handler = LogHandler(shown, Given())
    for line in ("@@ -1 +1 @@", "   services:", "-    old", f"+    {HOSTILE}"):
        text = f"[a]    {line}"
        record = logging.LogRecord("pyinfra.differences", logging.INFO, "", 0, text, None, None)
        handler.emit(record)
    there = out.getvalue().splitlines()
    assert there[0] == "\x1b[36m[a] @@ -1 +1 @@\x1b[0m"
    assert "[a]    services:" in there[1]
    assert there[2] == "\x1b[31m[a] -    old\x1b[0m"
    assert there[3].startswith("\x1b[32m[a] +    ␛]52")
    assert not acting(there[3].removeprefix("\x1b[32m").removesuffix("\x1b[0m"))


def test_a_log_is_text_on_a_terminal_and_as_it_is_in_a_pipe(monkeypatch: pytest.MonkeyPatch):
    session = a_session("a")
    for terminal_there in (True, False):
        stream = io.StringIO()
        monkeypatch.setattr(stream, "isatty", lambda there=terminal_there: there)
        monkeypatch.setattr(sys, "stdout", Guard(stream))
        streaming._write_line(session)(f"[a] \x1b[32mgreen\x1b[0m {HOSTILE}")
        text = stream.getvalue()
        assert (acting(text) == set()) is terminal_there
        assert ("\x1b[32mgreen" in text) is not terminal_there
        assert "green" in text


def test_a_command_on_this_machine_is_text_on_a_terminal(monkeypatch: pytest.MonkeyPatch):
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: True)
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, Guard(stream))
    monkeypatch.setattr(streaming, "as_root", lambda command: command)
    code = streaming.show(
        SimpleNamespace(),  # type: ignore[arg-type]
        "printf '\\033]52;c;eA==\\007 one\\r\\n'; printf '\\302\\233two' >&2; exit 3",
    )
    assert code == 3
    assert not acting(stream.getvalue())
    assert "␛]52;c;eA==␇ one\n" in stream.getvalue()
    assert "\ufffdtwo" in stream.getvalue()


def test_whatever_the_process_prints_passes_the_guard(tmp_path: Path):
    """The whole of it, from its entry point on, with a user's function that prints and fails."""
    given = HOSTILE.replace("\udcff", "")
    (tmp_path / "inventory.py").write_text(
        f"def hosts():\n    print({given!r})\n    raise ValueError({given!r})\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", ROOT / "commandline" / "__main__.py", "settings", "inventory:hosts"],
        capture_output=True,
        check=False,
        cwd=tmp_path,
    )
    text = done.stdout.decode() + done.stderr.decode()
    assert done.returncode == 1, text
    assert text.count(MARKUP) == 2
    assert not acting(text)


def test_only_one_console_is_made():
    """Another one than `Screen` would read markup, and its colours would not pass the guard."""
    for path in (
        path for name in ("commandline", "toolkit") for path in (ROOT / name).rglob("*.py")
    ):
        if path.name == "terminal.py":
            continue
        for node in sources.nodes(path):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id != "Console", path
            if isinstance(node, ast.ImportFrom) and node.module == "rich.text":
                # With a constant or from `said`; see the tests of tables above.
                assert path.name in (
                    "outcome.py",
                    "fleet.py",
                    "tables.py",
                    "status.py",
                    "inventory.py",
                )


def test_terminals_that_cannot_show_a_character_get_one_for_it(tmp_path: Path):
    script = """
import locale; locale.nl_langinfo = lambda item: "ISO-8859-15"
from toolkit import terminal; terminal.guard(); print('ä€ ✗→ \\udcff漢 \\x1b[2J')
"""
    done = subprocess.run(
        [sys.executable, "-X", "utf8", "-c", script], capture_output=True, check=True, cwd=ROOT
    )
    assert done.stdout == "ä€ x> ?? ?[2J\n".encode("iso-8859-15")
    assert terminal.unguarded(sys.stdout) is not None


@pytest.mark.parametrize("columns", ["0", "", "abc", "-1", "00"])
def test_where_no_width_is_known_everything_is_shown(
    columns: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("LINES", columns)
    out = io.StringIO()
    screen = Screen(file=out)
    screen.print("all of it " * 20)
    assert out.getvalue().split() == ["all", "of", "it"] * 20
    assert screen.width > 20
