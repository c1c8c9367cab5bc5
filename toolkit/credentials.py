"""Credentials that the settings name by reference, read on the control machine."""

from __future__ import annotations

import os
import subprocess
from functools import cache
from pathlib import Path

from toolkit.settings import Settings
from toolkit.settings.types import CredentialReference

COMMAND_SECONDS = 60


class CredentialError(ValueError):
    """A credential cannot be read; the message names the reference, never a value."""


@cache
def read(reference: CredentialReference) -> str:
    """Return the secret that `reference` stands for; each reference is read once per process.

    Raises:
        CredentialError: there is nothing there, or it cannot be a value of an environment variable.
    """
    if reference.env is not None:
        where, value = f"environment variable {reference.env}", os.environ.get(reference.env, "")
    elif reference.file is not None:
        where, value = f"file {reference.file}", _file(reference.file)
    else:
        where, value = f"command {reference.command!r}", _output(reference.command or "")
    if not value:
        raise CredentialError(f"{where} on the control machine is empty or not set")
    if "\0" in value:
        raise CredentialError(f"{where} on the control machine contains a NUL")
    return value


def read_all(settings: Settings) -> tuple[dict[str, str], list[str]]:
    """Return the credentials by name, and one message for each that cannot be read."""
    values, problems = {}, []
    for name, reference in settings.credentials.items():
        try:
            values[name] = read(reference)
        except CredentialError as error:
            problems.append(f"credentials.{name}: {error}")
    return values, problems


def _file(path: str) -> str:
    try:
        return Path(path).expanduser().read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise CredentialError(f"file {path} on the control machine: {reason}") from None


def _output(command: str) -> str:
    try:
        done = subprocess.run(
            ["sh", "-c", command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=COMMAND_SECONDS,
            text=True,
        )
    except subprocess.TimeoutExpired:
        raise CredentialError(f"command {command!r} took more than {COMMAND_SECONDS} s") from None
    except UnicodeDecodeError:
        raise CredentialError(f"command {command!r} did not print UTF-8") from None
    if done.returncode:
        raise CredentialError(f"command {command!r} exited with {done.returncode}")
    return done.stdout.rstrip("\r\n")
