"""Credentials that the settings name by reference, read on the control machine."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import stat
import subprocess
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from toolkit.settings.types import CredentialReference

COMMAND_SECONDS = 60
MAX_BYTES = 64 * 1024
"""More than any token or key file that an environment variable can hold."""


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


def read_all(credentials: Mapping[str, CredentialReference]) -> tuple[dict[str, str], list[str]]:
    """Return what they are by name, and one message for each that cannot be read."""
    values, problems = {}, []
    for name, reference in credentials.items():
        try:
            values[name] = read(reference)
        except CredentialError as error:
            problems.append(f"credentials.{name}: {error}")
    return values, problems


def _file(path: str) -> str:
    where = f"file {path} on the control machine"
    try:
        # Not blocking: a FIFO that nobody writes to is opened at once, and then refused.
        handle = os.open(Path(path).expanduser(), os.O_RDONLY | os.O_NONBLOCK)
        with os.fdopen(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise CredentialError(f"{where}: not a regular file")
            return _text(where, file.read(MAX_BYTES + 1))
    except OSError as error:
        raise CredentialError(f"{where}: {error.strerror}") from None


def _output(command: str) -> str:
    where = f"command {command!r}"
    deadline = time.monotonic() + COMMAND_SECONDS
    with subprocess.Popen(
        ["sh", "-c", command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        assert process.stdout
        ended = False
        try:
            said = _said(process.stdout.fileno(), deadline)
            if len(said) <= MAX_BYTES:
                process.wait(max(0.0, deadline - time.monotonic()))
                ended = True
        except (TimeoutError, subprocess.TimeoutExpired):
            raise CredentialError(f"{where} took more than {COMMAND_SECONDS} s") from None
        finally:
            if not ended:  # nor is what it has started, and may have outlived it
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
    value = _text(where, said)
    if process.returncode:
        raise CredentialError(f"{where} exited with {process.returncode}")
    return value


def _said(pipe: int, deadline: float) -> bytes:
    """Return what comes out of a pipe until its end, or more than is accepted.

    Raises:
        TimeoutError: it has no end: what a command has started in a session of its own keeps it
            open, too.
    """
    said = b""
    while len(said) <= MAX_BYTES:
        if not select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))[0]:
            raise TimeoutError
        if not (more := os.read(pipe, MAX_BYTES + 1)):
            break
        said += more
    return said


def _text(where: str, said: bytes) -> str:
    if len(said) > MAX_BYTES:
        raise CredentialError(f"{where}: more than {MAX_BYTES >> 10} KiB; accepted: one secret")
    try:
        return said.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise CredentialError(f"{where}: not UTF-8") from None
