"""What the verbs that change hosts ask, and what they are told; no host is connected."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import click
import pytest
from pyinfra.api.exceptions import PyinfraError

from commandline import changing, main
from commandline.results import HostResult, RunResult
from commandline.verbs import remove, restore
from operations import activation, upgrade
from operations.lifecycle import removal, restoring, rotation
from toolkit import terminal
from toolkit.settings import Settings

State = SimpleNamespace


class Left(Exception):
    """In place of the end of the process; with the exit code."""


VERBS = ("stop", "start", "restart", "rotate", "remove")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., SimpleNamespace]:
    """`run(*words, answers=None)`: what a runner is given, and whether it was told to go on.

    The answers are typed on a terminal; None: there is nobody.
    """

    def typed(*words: str, answers: list[str] | None = None, names: tuple[str, ...] = ("claw",)):
        seen = SimpleNamespace(confirmed=None, deploy=None, verb=None, asked=[])
        given = list(answers or [])
        hosts = [SimpleNamespace(name=name) for name in names]
        state = SimpleNamespace(inventory=hosts, is_host_in_limit=lambda host: True)

        class Runner:
            def __init__(
                self, deploy, options, display, dry, confirm, wait, timeline, prepare, looks
            ):
                seen.deploy, seen.verb = deploy.name, options.given.verb
                seen.target, seen.overrides = options.target, options.overrides
                self.confirm, self.prepare, seen.looks = confirm, prepare, looks
                self.session = SimpleNamespace(hosts=[])

            def run(self) -> RunResult:
                self.prepare(state)
                result = RunResult(
                    hosts={name: HostResult(planned=["X | Do it"]) for name in names}
                )
                seen.confirmed = self.confirm(result)
                result.declined = not seen.confirmed
                return result

        def ask(question: str, *_: Any) -> str:
            seen.asked.append(question)
            return given.pop(0)

        def leave(code: int) -> None:
            raise Left(code)

        monkeypatch.setattr(changing, "Runner", Runner)
        monkeypatch.setattr(changing, "leave", leave)
        monkeypatch.setattr(terminal, "can_ask", lambda: answers is not None)
        monkeypatch.setattr(terminal, "ask", ask)
        monkeypatch.setattr(remove, "settings_for", lambda host: Settings(name=host.name))
        chosen: dict[str, Any] = {}
        monkeypatch.setattr(removal, "choose", lambda _, purge: chosen.update(purge=purge))
        monkeypatch.setattr(upgrade, "choose", lambda _: chosen.update(upgrade=True))
        monkeypatch.setattr(
            activation, "leave_out_rehearsal", lambda _: chosen.update(unrehearsed=True)
        )
        monkeypatch.setattr(rotation, "choose", lambda _, name: chosen.update(credential=name))
        with pytest.raises(Left):
            main.cli.main(list(words), standalone_mode=False)
        seen.chosen = chosen
        return seen

    return typed


@pytest.mark.parametrize("verb", VERBS)
def test_each_has_a_deploy_file_and_asks(verb: str, run) -> None:
    for answers, confirmed in ((["y"], True), (["no"], False), (None, False)):
        seen = run(verb, "root@h", answers=answers)
        assert (seen.deploy, seen.verb) == (f"{verb}.py", verb)
        assert seen.confirmed is confirmed
    assert run(verb, "root@h", "-y").confirmed is True


def test_who_cannot_be_asked_is_told_what_to_type(run, capsys) -> None:
    run("stop", "f.yml", "--limit", "a")
    assert "To make them: ./claw stop f.yml --limit a -y; to look: --dry" in _one(capsys)
    run("remove", "root@h", "--purge-data", "-y")
    assert "./claw remove root@h --purge-data --yes-purge NAME; to look" in _one(capsys)


def test_what_opens_nothing_is_not_looked_at_from_outside(run) -> None:
    assert [verb for verb in VERBS if not run(verb, "root@h", "-y").looks] == ["stop", "remove"]


def test_data_go_only_when_the_name_is_typed(run) -> None:
    purge = ("remove", "root@h", "--purge-data")
    assert run(*purge, answers=["claw"]).confirmed is True
    for typed in ("y", "yes", "Claw", ""):
        assert run(*purge, answers=[typed]).confirmed is False
    assert run(*purge, "-y").confirmed is False, "-y is no name"
    assert run(*purge, "--yes-purge", "claw").confirmed is True
    two = run(*purge, answers=["anna", "wrong"], names=("anna", "bert"))
    assert two.confirmed is False and len(two.asked) == 2
    assert run(*purge, "--purge-engine", answers=["claw"]).chosen["purge"] == removal.Purge(
        data=True, engine=True
    )


def test_a_name_that_is_no_deployment_s_stops_before_a_host_is_touched(run) -> None:
    words = ("remove", "root@h", "--purge-data", "--yes-purge")
    with pytest.raises(PyinfraError, match="which are claw; not so: claw, other"):
        run(*words, "other")
    with pytest.raises(click.UsageError, match="goes with --purge-data"):
        run("remove", "root@h", "--yes-purge", "claw")


def test_rotate_says_which_credential(run, capsys) -> None:
    assert run("rotate", "root@h", "-y").chosen["credential"] == ""
    seen = run("rotate", "root@h", "--credential", "SOME_KEY")
    assert seen.chosen["credential"] == "SOME_KEY"
    assert "./claw rotate root@h --credential SOME_KEY -y" in _one(capsys)


def test_an_upgrade_is_up_with_another_release(run, capsys) -> None:
    seen = run("upgrade", "root@h", "2026.9.7", "-y")
    assert (seen.deploy, seen.target) == ("deploy.py", "root@h")
    assert seen.overrides == {"gateway.version": "2026.9.7"}
    assert seen.chosen == {"upgrade": True}
    seen = run("upgrade", "2026.9.7", "-y", "--no-rehearsal")
    assert seen.target is None and seen.overrides == {"gateway.version": "2026.9.7"}
    assert seen.chosen == {"upgrade": True, "unrehearsed": True}
    assert run("upgrade", "fleet.yml", "-y").overrides == {}
    with pytest.raises(click.BadParameter, match="such as 2026"):
        run("upgrade", "root@h", "latest")
    assert run("up", "root@h", "-y", "--no-rehearsal").chosen == {"unrehearsed": True}


def _one(capsys: pytest.CaptureFixture[str]) -> str:
    said = capsys.readouterr()
    return " ".join((said.out + said.err).split())


def test_a_bare_host_is_provisioned_first_with_backups_in_the_repository(
    run: Callable[..., SimpleNamespace], monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[list[str]] = []
    code = 0

    def call(words: list[str], **_: Any) -> int:
        called.append(words[1:])
        return code

    monkeypatch.setattr(restore.subprocess, "call", call)
    monkeypatch.setattr(restoring, "choose", lambda *_: None)
    password = ("--password-file", "/p")
    seen = run("restore", "root@new", "--from", "/srv/b", *password, "-y", "--limit", "a")
    sets = ("--set", "backup.repository=/srv/b", "--set", 'backup.password={"file": "/p"}')
    assert called == [["up", "--existing-repository", "root@new", *sets, "--limit", "a", "-y"]]
    assert seen.verb == "restore"
    run("restore", "root@new", "-y")
    assert len(called) == 1, "without --from nothing is provisioned"
    for code in (1, 2, 130):
        monkeypatch.setattr(restore, "leave", left)
        with pytest.raises(Left, match=str(code)):
            main.cli.main(["restore", "root@new", "--from", "/srv/b"], standalone_mode=False)


@pytest.mark.parametrize("given", [("--from", ""), ("--from", "/b", "--password-file", "")])
def test_an_empty_place_is_no_restore_from_elsewhere(
    run: Callable[..., SimpleNamespace], given: tuple[str, ...]
) -> None:
    """As an unset variable of the shell gives it."""
    with pytest.raises(click.UsageError, match="given nothing"):
        run("restore", "root@new", *given, "-y")


def left(code: int) -> None:
    raise Left(code)
