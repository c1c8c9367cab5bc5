"""`./claw channels login CHANNEL`, `./claw models login PROVIDER`: what OpenClaw is asked for."""

from __future__ import annotations

import shlex
from typing import Any

import pytest
from click.testing import CliRunner

from commandline import approving, asking, streaming
from commandline.main import cli
from commandline.verbs import channels, models
from toolkit.settings import Settings


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What would have been asked of hosts: the target, and OpenClaw's command line or `list`."""
    found: list[Any] = []

    def stream(target: str | None, options: Any, command: Any, what: str, terminal: bool) -> None:
        line = command(Settings(), "./claw up")
        found.append((target, line[line.index("openclaw-cli") :] if terminal else ""))

    monkeypatch.setattr(streaming, "run", stream)
    monkeypatch.setattr(
        asking, "run", lambda target, *_, **__: found.append((target, approving.LIST))
    )
    for verb in (channels, models):
        monkeypatch.setattr(verb, "has_terminal", lambda: True)
    return found


@pytest.mark.parametrize(
    ("typed", "target", "line"),
    [
        (
            "channels login whatsapp root@h",
            "root@h",
            "openclaw-cli channels login --channel whatsapp",
        ),
        (
            "channels login whatsapp --account work",
            None,
            "openclaw-cli channels login --channel whatsapp --account work",
        ),
        ("channels", None, "list"),
        ("channels root@h", "root@h", "list"),
        ("channels list root@h", "root@h", "list"),
        (
            "models login openai root@h --device-code",
            "root@h",
            "openclaw-cli models auth login --provider openai --device-code",
        ),
        (
            "models login openai",
            None,
            "openclaw-cli models auth login --provider openai",
        ),
        (
            "models login github-copilot root@h --method device",
            "root@h",
            "openclaw-cli models auth login --provider github-copilot --method device",
        ),
    ],
)
def test_what_is_typed_is_asked_of_the_target(
    typed: str, target: str | None, line: str, asked: list[Any]
) -> None:
    assert CliRunner().invoke(cli, shlex.split(typed)).exception is None
    assert asked == [(target, line)]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("channels login", "login whatsapp"),
        ("channels approve root@h", "'approve' is none of list, login"),
        ("channels list root@h more", "'more' is one word too many"),
        ("channels root@h --account work", "--account is for login"),
        ("models login", "Missing argument 'PROVIDER'"),
        ("models list", "'list'"),
    ],
)
def test_what_is_missing_or_too_much_is_named(typed: str, said: str, asked: list[Any]) -> None:
    done = CliRunner().invoke(cli, shlex.split(typed))
    assert done.exit_code != 0 and not asked
    assert said in " ".join(done.output.split())


@pytest.mark.parametrize("typed", ["channels login whatsapp", "models login openai"])
def test_without_a_terminal_nobody_is_asked(typed: str) -> None:
    done = CliRunner().invoke(cli, shlex.split(typed))
    assert done.exit_code != 0 and "needs a terminal" in done.output
