"""What a host answers: told from all else that it says, whole, of a known length, and in time.

A login shell prints what its owner likes (`.bashrc`, `config.fish`, a banner), a forced command
answers in the place of what was asked, a connection breaks in the middle, and a host that somebody
took over says anything, of any size, or nothing. So each answer stands between marks that were
made for this one call and begins with its length; what comes before or behind them is dropped, and
without them there is no answer, but an error that quotes what was said.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Mapping
from typing import Any

from pyinfra.api import StringCommand
from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.host import Host
from pyinfra.connectors.util import make_unix_command_for_host

from operations.base import channel
from operations.base.channel import Process
from toolkit import greenlets, terminal

ANSWER_SECONDS = 120
ANSWER_BYTES = 32 << 20
NOISE_BYTES = 1 << 16
QUOTED = 200
"""How much of what was said instead of an answer is quoted."""
TOLD = 4000
"""How much of the end of what a script said that failed."""
_GRACE_SECONDS = 10
_ARGUMENT_BYTES = 60_000
"""Of a script on the command line; the kernel takes 128 KiB, quoted once or twice."""
_INCOMPLETE = 97

# The shell counts bytes, not characters, only in the locale C.
_FRAME = """question() {{ :
{script}
}}
said=$(question); status=$?
LC_ALL=C
printf '\\036%s %s %s\\n%s\\036%s\\n' {nonce} "$status" "${{#said}}" "$said" {nonce}"""
# A login shell that reads its standard input would take a part of the script away.
_GIVEN = """given=$(cat)
case $given in "#{nonce}"*"#{nonce}") eval "$given" ;; *) exit {incomplete} ;; esac"""


class AnswerError(PyinfraError):
    """A host did not answer what it was asked; the message does not name the host."""


class CommandFailed(AnswerError):
    """The script was run and failed; the message is what it said."""


def ask(
    host: Host,
    script: str,
    arguments: Mapping[str, Any] | None = None,
    given: str | None = None,
    seconds: float = ANSWER_SECONDS,
    limit: int = ANSWER_BYTES,
) -> str:
    """Return what a POSIX shell script writes to its standard output on a host; shown nowhere.

    + arguments: pyinfra's own: `_sudo` and the like, `_env`
    + given: its standard input
    + seconds: it is ended there after so long
    + limit: more bytes than that are not taken

    Raises:
        CommandFailed: it failed.
        AnswerError: there was no whole answer.
        ChannelError: the connection broke.
    """
    nonce = secrets.token_hex(8)
    if given is None and len(script.encode()) > _ARGUMENT_BYTES:
        given, script = _on_standard_input(script, nonce)
    started = time.monotonic()
    timer = greenlets.Timeout(seconds + _GRACE_SECONDS)
    try:
        with timer:
            return _asked(host, script, dict(arguments or {}), given, seconds, limit, nonce)
    except greenlets.Timeout as late:
        if late is not timer:
            raise
        raise AnswerError(f"no answer within {seconds:.0f} s") from None
    except _Unmarked as error:
        if time.monotonic() - started >= seconds:
            raise AnswerError(f"no answer within {seconds:.0f} s") from None
        raise AnswerError(
            f"it does not run what it is asked to, but says: {error.said or 'nothing'}"
        ) from None


def run(host: Host, script: str, **options: Any) -> str:
    """Do as `ask` with a script that travels on standard input, where no process shows it."""
    given, reader = _on_standard_input(script, secrets.token_hex(8))
    return ask(host, reader, given=given, **options)


def printable(text: str, length: int = QUOTED) -> str:
    """Return text of a host on one line, without control characters, cut to `length`."""
    shown = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return shown if len(shown) <= length else f"{shown[: length - 3]}..."


def _end_of(said: bytes) -> str:
    """Return the last that was said: noise comes first."""
    shown = printable(said[-4 * QUOTED :].decode(errors="replace"), 4 * QUOTED)
    return shown if len(shown) <= QUOTED else f"...{shown[3 - QUOTED :]}"


class _Unmarked(Exception):
    def __init__(self, said: str) -> None:
        super().__init__(said)
        self.said = said


class _Lines(Process):
    """What a connector of pyinfra said that carries lines of text only."""

    def __init__(self, output: Any) -> None:
        self._output, self._left = output, output.stdout.encode(errors="surrogateescape") + b"\n"

    def read(self) -> bytes:
        data, self._left = self._left, b""
        return data

    def said(self) -> bytes:
        errors: bytes = self._output.stderr.encode(errors="surrogateescape")
        return errors


def _on_standard_input(script: str, nonce: str) -> tuple[str, str]:
    return (
        f"#{nonce}\n{script}\n#{nonce}\n",
        _GIVEN.format(nonce=nonce, incomplete=_INCOMPLETE),
    )


def _asked(
    host: Host,
    script: str,
    arguments: dict[str, Any],
    given: str | None,
    seconds: float,
    limit: int,
    nonce: str,
) -> str:
    framed = StringCommand(_FRAME.format(script=script, nonce=nonce))
    if not channel.reachable(host):
        stdin = {} if given is None else {"_stdin": [given]}
        _, output = host.run_shell_command(
            framed, print_output=False, print_input=False, _timeout=seconds, **stdin, **arguments
        )
        return _answer(_Lines(output), nonce, limit)
    # `timeout` ends the shell and all that it started; a connection that is closed ends neither.
    arguments["_shell_executable"] = f"timeout -k 5 {seconds:.0f} sh"
    command = make_unix_command_for_host(host.state, host, framed, **arguments).get_raw_value()
    with channel.running(host, command) as process:
        if given is not None:
            process.write(given.encode())
        process.end()
        return _answer(process, nonce, limit)


def _answer(process: Process, nonce: str, limit: int) -> str:
    status, body = _read(process, nonce.encode(), limit)
    answer = body.decode(errors="replace")
    if status == _INCOMPLETE:
        raise AnswerError("what was sent to it did not arrive whole: does a login shell read it?")
    if status:
        said = process.said().decode(errors="replace").strip() or answer
        raise CommandFailed(terminal.printable(said[-TOLD:]) or f"exit status {status}")
    return answer


def _read(process: Process, nonce: bytes, limit: int) -> tuple[int, bytes]:
    """Return the exit status and the answer that stands between the marks."""
    begin, end = b"\x1e" + nonce + b" ", b"\x1e" + nonce + b"\n"
    data = bytearray()
    while not (found := re.search(re.escape(begin) + rb"(\d{1,3}) (\d{1,12})\n", data)):
        more = process.read() if len(data) < NOISE_BYTES else b""
        if not more:
            said = process.said() if len(data) < NOISE_BYTES else b""
            raise _Unmarked(_end_of(bytes(data[:NOISE_BYTES]) + b" " + said))
        data += more
    status, length = int(found[1]), int(found[2])
    if length > limit:
        raise AnswerError(f"it has {length} bytes to say, of which {limit} would be taken")
    del data[: found.end()]
    while len(data) < length + len(end):
        more = process.read()
        if not more:
            raise AnswerError(f"its answer broke off after {len(data)} of {length} bytes")
        data += more
    if data[length : length + len(end)] != end:
        raise AnswerError(f"something else was said in the middle of its answer, {length} bytes")
    return status, bytes(data[:length])
