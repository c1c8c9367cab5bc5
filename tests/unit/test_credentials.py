"""References to credentials that lead nowhere, or to no end."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from toolkit import credentials
from toolkit.credentials import CredentialError, read
from toolkit.settings.types import CredentialReference


def test_a_file_and_a_command(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("canary\n")
    assert read(CredentialReference(file=str(tmp_path / "key"))) == "canary"
    assert read(CredentialReference(command=f"cat {tmp_path}/key")) == "canary"


@pytest.mark.parametrize("kind", ["/dev/zero", "fifo", "directory", "large"])
def test_a_file_that_is_none(tmp_path: Path, kind: str) -> None:
    path = Path(kind) if kind.startswith("/") else tmp_path / kind
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    elif kind == "large":
        with path.open("wb") as file:
            file.truncate(4 << 40)
    with pytest.raises(
        CredentialError, match=r"(?i)not a regular file|is a directory|more than 64 KiB"
    ):
        read(CredentialReference(file=str(path)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("sleep 600 & sleep 600", "took more than"),
        ("sleep 600 & echo x", "took more than"),  # the pipe stays open
        ("setsid sleep 5 & exec >&-", "took more than"),  # and nobody can end who holds it
        ("exec >&-; sleep 600", "took more than"),
        ("yes", "more than 64 KiB"),
        ("exit 3", "exited with 3"),
        (r"printf '\377'", "not UTF-8"),
    ],
)
def test_a_command_that_does_not_say_a_secret(monkeypatch, command: str, said: str) -> None:
    monkeypatch.setattr(credentials, "COMMAND_SECONDS", 1)
    with pytest.raises(CredentialError, match=said):
        read(CredentialReference(command=f"{command} # {said}"))
