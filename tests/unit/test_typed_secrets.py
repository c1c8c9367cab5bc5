"""Nobody is told to type a secret on a command line, and who does is told how else."""

from __future__ import annotations

import io
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from commandline import typed_secrets
from commandline.screen import reports
from commandline.screen.given import Given
from commandline.screen.reports import Report
from toolkit.settings import Settings
from toolkit.settings.contradictions import general
from toolkit.terminal import Screen

ROOT = Path(__file__).resolve().parents[2]
BOT = "123456789:AAHcanary_canary_canary_canary_canar"


@pytest.mark.parametrize(
    "line",
    [
        "channels add --channel telegram --token BOT_TOKEN",
        f"channels add --channel telegram --token={BOT}",
        "channels add --channel matrix --access-token X --user-id @a:b",
        "channels add --channel matrix --password hunter2",
        "channels add --channel nostr --private-key nsec1",
        "channels add --channel slack --bot-token=x --app-token y",
        "onboard --openai-api-key KEY",
        "onboard --openai-apikey KEY",
        "gateway health --token 0123",
        f"config set channels.telegram.botToken {BOT}",
        "config set channels.telegram.botToken short",
        'config set models.providers["x"].apiKey abc --strict-json',
        f"agent --message {BOT}",
        "channels add sk-ant-api03-abcdefghijklmnop",
        "channels add --channel x --url https://u:xoxb-1234567890-ab@h",
    ],
)
def test_a_typed_secret_is_found_and_not_repeated(line: str) -> None:
    found = typed_secrets.found(shlex.split(line))
    assert found
    assert "canary" not in found


@pytest.mark.parametrize(
    "line",
    [
        "devices list",
        "channels add --channel telegram --use-env",
        "channels add --channel telegram --token-file /run/secret",
        "channels add --channel telegram --token",
        "onboard --gateway-auth token --gateway-token-ref-env OPENCLAW_GATEWAY_TOKEN",
        "onboard --secret-input-mode ref --auth-choice openai-api-key",
        "agent --session-key agent:main:x --model a/b --message hello",
        "config set agents.defaults.model.primary openai/gpt",
        "config get gateway.auth.token",
        """config set channels.telegram.botToken '{"source": "env", "id": "X"}'""",
        "config set gateway.auth.mode token",
        "config unset channels.telegram.botToken",
        "pairing approve telegram ABCD1234",
    ],
)
def test_what_is_no_secret_passes(line: str) -> None:
    assert typed_secrets.found(shlex.split(line)) is None


@pytest.mark.parametrize("verb", ["cli", "onboard"])
def test_nothing_is_sent(verb: str) -> None:
    words = [verb, "nobody@host.invalid", "--", "channels", "add", "--token", BOT]
    done = subprocess.run(
        [sys.executable, "-I", ROOT / "commandline" / "__main__.py", *words],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    if verb == "cli":  # the wizard wants a terminal before anything else
        assert "--token: a secret on a command line" in done.stderr
        assert "--use-env" in done.stderr
    assert "canary" not in done.stdout + done.stderr


@pytest.mark.parametrize("key", ["_sudo_password", "ssh_password", "credentials.X_TOKEN"])
def test_a_setting_is_no_exception(key: str) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-I",
            ROOT / "commandline" / "__main__.py",
            "settings",
            "--set",
            f"{key}=canary",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert f"--set {key}: a secret on a command line" in done.stderr
    assert "canary" not in done.stdout + done.stderr


def test_no_page_and_no_summary_tells_anybody_to() -> None:
    """Every line that looks like a command of ours, wherever it is written."""
    places = [
        ROOT / "README.md",
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "commandline").rglob("*.py"),
    ]
    places += [*(ROOT / "operations").rglob("*.py"), *(ROOT / "templates").rglob("*.*")]
    commands = re.compile(r"(?:\./claw|openclaw) [^`\n]*")
    checked = 0
    for path in places:
        if "__pycache__" in path.parts:
            continue
        for line in commands.findall(path.read_text(errors="replace")):
            words = re.split(r"[\s\"'()]+", line)
            found = typed_secrets.found(words)
            if words[:2] == ["./claw", "rotate"] and found == "--credential":
                continue  # takes the name of one
            assert not found, f"{path}: {line}"
            checked += 1
    assert checked > 50


@pytest.mark.parametrize(
    ("target", "file"),
    [(None, "openclaw.yml"), ("root@h", "openclaw.yml"), ("my fleet.yml", "my fleet.yml")],
)
def test_the_summary_gives_the_token_by_reference(
    target: str | None, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it prints is a setting that the toolkit takes, and no more of it than is needed."""
    monkeypatch.setattr(reports.targets, "is_local", lambda host: True)
    host: Any = SimpleNamespace(name="@local", data={})
    out = io.StringIO()
    report = Report(Screen(file=out), Screen(file=out), Given(target))
    report._next_steps(host, Settings())
    first, second = re.findall(r"(credentials: .*) and\n +(channels: .*) in ", out.getvalue())[0]
    file_named, up = re.findall(r" in (.*); (\./claw up .*)", out.getvalue())[0]
    assert ("./claw init" in out.getvalue()) == (file == "openclaw.yml")
    assert file_named == file
    assert shlex.split(up) == ["./claw", "up", file]
    credentials = Settings.model_validate(yaml.safe_load(first))
    assert credentials.credentials["TELEGRAM_BOT_TOKEN"].file == "FILE"
    whole = Settings.model_validate(yaml.safe_load(f"{first}\n{second}"))
    assert not list(general.problems(whole))

    out.truncate(0)
    report._next_steps(host, credentials)
    assert "channels: {telegram:" in out.getvalue() and "credentials" not in out.getvalue()

    out.truncate(0)
    report._next_steps(host, Settings.model_validate({"channels": {"whatsapp": {}}}))
    assert "./claw channels login whatsapp" in out.getvalue()
    assert "TELEGRAM" not in out.getvalue()
