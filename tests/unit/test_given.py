"""Every command that is printed repeats what was given."""

from __future__ import annotations

import ast
import io
import re
import shlex
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from commandline import changing, main
from commandline.results import HostResult, RunResult
from commandline.run.planning import Planning
from commandline.run.session import Options
from commandline.screen.given import Given
from commandline.screen.reports import Report
from commandline.verbs import cli, logs, onboard
from operations.base.preflight import PreflightError, Problem
from toolkit.settings import Settings
from toolkit.terminal import Screen

ROOT = Path(__file__).resolve().parents[2]


def test_a_command_means_the_same_hosts_and_settings() -> None:
    given = Given("fleet.yml", ("name=a b", "credentials.X.token=s3cret"), ("web",), ("web9",))
    said = given.command("status")
    assert said == (
        "./claw status fleet.yml --limit web --exclude web9 --set 'name=a b'"
        " --set credentials.X.token=..."
    )
    assert given.command("up", hosts=["a", "b"]).startswith("./claw up fleet.yml --limit a,b --set")
    assert Given().command("up") == "./claw up"


@pytest.mark.parametrize(
    ("given", "text", "whole"),
    [
        (Given(), "./claw up", "./claw up"),
        (Given("root@h"), "run ./claw up, then more", "run ./claw up root@h, then more"),
        (
            Given("fleet.yml", limit=("web*",), exclude=("web2",)),
            "./claw sandboxes --recreate",
            "./claw sandboxes fleet.yml --limit web1 --recreate",
        ),
        (Given("a,b"), "./claw up", "./claw up a,b --limit web1"),
        (Given("cloud:hosts"), "./claw up", "./claw up cloud:hosts --limit web1"),
        (Given("h:22"), "./claw up", "./claw up h:22"),
        (
            Given(None, ("name=x",), flags=("--dry",)),
            "x && ./claw up; ./claw cli -- doctor",
            "x && ./claw up --set name=x --dry; ./claw cli --set name=x -- doctor",
        ),
        (Given("root@h"), "./claw lab up 3; ./claw makes none", None),
    ],
)
def test_a_text_is_completed(given: Given, text: str, whole: str | None) -> None:
    assert given.completed(text, "web1") == (whole or text)


def test_failed_means_other_hosts_after_the_run() -> None:
    given = Given("f.yml", limit=("@failed,db",), exclude=("x",))
    assert given.about(["a", "b"]).command("token") == "./claw token f.yml --limit a,b"
    assert given.about([]) == given
    named = Given("f.yml", limit=("a",))
    assert named.about(["a"]) == named


def test_up_repeats_what_decides_its_run(monkeypatch: pytest.MonkeyPatch) -> None:
    words = [
        *("f.yml", "--limit", "a,b", "--exclude", "c", "--set", "gateway.port=1", "--dry"),
        *("--diff", "--wait-lock", "5", "--canary", "0", "--batch", "50%"),
    ]
    given: list[Given] = []

    class Stop(Exception):
        pass

    def report(*arguments: Any) -> None:
        given.append(arguments[2])
        raise Stop

    monkeypatch.setattr(changing, "Report", report)
    with pytest.raises(Stop):
        main.cli.main(["up", *words], standalone_mode=False)
    printed = shlex.split(given[0].command("up"))
    assert printed[:2] == ["./claw", "up"]
    with pytest.raises(Stop):
        main.cli.main(printed[1:], standalone_mode=False)
    assert given[0] == given[1]
    assert {"--dry", "--diff", "5", "0", "50%"} <= set(printed)


@pytest.mark.parametrize("dry", [True, False])
def test_the_retry_and_the_way_on_after_an_interruption(dry: bool) -> None:
    out = io.StringIO()
    console = Screen(file=out)
    flags = ("--dry",) if dry else ()
    report = Report(console, console, Given("f.yml", ("name=x",), ("web",), ("db",), flags))
    result = RunResult(dry=dry, hosts={"a": HostResult(failed="x"), "b": HostResult()})
    report.failures(result)
    report.interruption(result)
    hosts = "a" if dry else "@failed"
    end = "--set name=x --dry" if dry else "--set name=x"
    assert f"./claw up f.yml --limit {hosts} {end}\n" in out.getvalue()
    assert f"./claw up f.yml --limit web --exclude db {end}\n" in out.getvalue()


def test_a_problem_before_the_run_names_the_whole_command() -> None:
    host: Any = SimpleNamespace(name="a")
    run: Any = Planning.__new__(Planning)
    given = Given("f.yml", ("name=x",))
    run.session = SimpleNamespace(options=Options("f.yml", given=given), leave_out=lambda host: 0)
    run.result = RunResult(hosts={"a": HostResult(), "b": HostResult()})
    run._leave_out(host, PreflightError({"a": [Problem("bad", "./claw init makes one")]}))
    (problem,) = run.result.hosts["a"].problems
    assert problem["fix"] == "./claw init f.yml --limit a --set name=x makes one"


def test_a_host_without_a_deployment_names_the_command_that_makes_one() -> None:
    makes_it = Given("f.yml", ("name=x",)).for_host("up", "a")
    for command in (
        cli.cli_command(Settings(), ("devices", "list"), False, makes_it),
        onboard.onboard_command(Settings(), (), makes_it),
        logs.log_command(Settings(), False, 5, makes_it),
    ):
        assert "./claw up f.yml --limit a --set name=x makes it" in command


def test_no_other_module_spells_a_command_of_ours() -> None:
    """A text that is printed goes through `Given`, or it is help."""
    spelled = re.compile(r"\./claw (up|token|status|sandboxes|verify|doctor|logs|onboard|trust)\b")
    # Completed by `asking` and the log handler, or the name of a file that is new.
    allowed = {"token.py", "typed_secrets.py", "environment.py", "reports.py"}
    allowed |= {"command_group.py", "lab.py"}
    for path in sorted(
        path for name in ("commandline", "toolkit") for path in (ROOT / name).rglob("*.py")
    ):
        tree = ast.parse(path.read_text())
        documented = {
            id(node.body[0].value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef)
            and node.body
            and isinstance(node.body[0], ast.Expr)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and "examples" in ast.unparse(node.func):
                documented |= {id(word) for word in node.args}
        for node in ast.walk(tree):
            text = node.value if isinstance(node, ast.Constant) else None
            if isinstance(text, str) and id(node) not in documented and spelled.search(text):
                assert path.name in allowed, (path.name, text)
