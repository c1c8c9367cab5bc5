"""The terminal: what reaches it is text, whoever said it, and questions are asked on it.

What a host, an agent or a file says may hold control sequences, directions of writing or rich's
markup. `main` puts `guard` around standard output and standard error, `Screen` is the console of
everything that has styles, and `said` makes the text of a cell or a line: whatever goes through
any of them is shown as it is spelled, one visible character for each that would act.
"""

from __future__ import annotations

import codecs
import locale
import re
import sys
import termios
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import IO, Any, TextIO, cast

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from toolkit import greenlets

# Controls but for tab and newline, what has no width, what turns the direction of writing, line
# separators, tags, and halves of surrogate pairs, which no terminal takes.
_ACTS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff\ud800-\udfff]"
)
_LONGEST_LINE = 1 << 16
_REPLACED = "openclaw-replaced"
_ALIKE = {"→": ">", "✓": "+", "✗": "x", "·": "-", "…": "~"}
"""What the toolkit itself writes, for encodings that do not have it."""
UNWRITTEN, PIPE_BROKEN = 1, 141
_SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def printable(text: str) -> str:
    """Return a text in which nothing acts on a terminal; as long as it was, with its lines."""
    return _ACTS.sub(_visible, text)


def _visible(found: re.Match[str]) -> str:
    code = ord(found[0])
    return chr(0x2400 + code) if code < 0x20 else "\u2421" if code == 0x7F else "\ufffd"


def plain(line: str) -> str:
    """Return a line of a program's output without its colours and cursor movements."""
    return printable(_SEQUENCE.sub("", line))


def said(text: Any, style: str = "", **options: Any) -> Text:
    """Return what somebody said as rich's text, which has no markup."""
    return Text(printable(str(text)), style, **options)


class Steady:
    """A stream whose end, or whose full disk, stops nobody: what it does not take is dropped.

    `lost` is what it failed with.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.lost: OSError | None = None

    def write(self, text: str) -> int:
        if self.lost is None:
            try:
                self.stream.write(text)
            except OSError as error:
                self.lost = error
        return len(text)

    def flush(self) -> None:
        if self.lost is None:
            try:
                self.stream.flush()
            except OSError as error:
                self.lost = error

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


class Guard:
    """A stream to which only printable text is written; `unguarded` is the one behind it."""

    def __init__(self, stream: TextIO) -> None:
        self.unguarded = stream

    def write(self, text: str) -> int:
        self.unguarded.write(printable(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.unguarded, name)


def guard() -> None:
    """Guard standard output and standard error, whoever writes to them in this process.

    They and standard input are in the locale's encoding, also where Python is in UTF-8 mode. What
    that cannot write is replaced, one character by one: it must neither end the run nor move the
    columns of a table.
    """
    codecs.register_error(_REPLACED, _replacement)
    encoding = _encoding()
    if sys.stdin is not None:
        stdin: Any = sys.stdin
        stdin.reconfigure(encoding=encoding, errors="surrogateescape")
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        stream.reconfigure(line_buffering=True, encoding=encoding, errors=_REPLACED)
        setattr(sys, name, Guard(cast(TextIO, Steady(stream))))


def exit_code(code: int) -> int:
    """Return what to leave with: success is none where standard output did not take what was said.

    141 where nobody reads it any more, as a shell says of a program that SIGPIPE has ended.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    lost = getattr(unguarded(sys.stdout), "lost", None)
    if code or not lost:
        return code
    if isinstance(lost, BrokenPipeError):
        return PIPE_BROKEN
    print(f"Error: standard output: {lost.strerror}", file=sys.stderr, flush=True)
    return UNWRITTEN


def _encoding() -> str:
    """Return the locale's encoding; UTF-8 in the locale C, as Python has it."""
    with suppress(locale.Error):
        locale.setlocale(locale.LC_CTYPE, "")
    try:
        found = codecs.lookup(locale.nl_langinfo(locale.CODESET)).name
    except LookupError:
        return "utf-8"
    return "utf-8" if found == "ascii" else found


def _replacement(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    rest = error.object[error.start : error.end]
    return "".join(_ALIKE.get(character, "?") for character in rest), error.end


def unguarded(stream: Any) -> Any:
    """Return the stream behind a guard."""
    return getattr(stream, "unguarded", stream)


def copy(source: IO[bytes], stream: TextIO) -> None:
    """Write what a program says to a stream, line by line and as text, until its end."""
    while line := source.readline(_LONGEST_LINE):
        stream.write(plain(line.decode(errors="replace").replace("\r\n", "\n")))
        stream.flush()


class Screen(Console):
    """A console that shows text as it is: no markup, no emoji codes, nothing that acts."""

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **options)
        # COLUMNS=0 is said where no terminal is known; rich would show nothing then.
        self._width, self._height = self._width or None, self._height or None

    @property
    def file(self) -> IO[str]:
        """Where to; its own colours pass the guard."""
        found: IO[str] = unguarded(Console.file.fget(self))  # type: ignore[attr-defined]
        return found

    @file.setter
    def file(self, new_file: IO[str]) -> None:
        self._file = new_file

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield (segment if segment.control else segment._replace(text=printable(segment.text)))


def can_ask() -> bool:
    """Return whether somebody sits there, wherever standard output leads (`| tee`, `--json`)."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def ask(question: str, secret: bool = False) -> str:
    """Ask on standard error and return the line that is typed; a `secret` is not shown."""
    with _hidden() if secret else nullcontext():
        print(question, end="", flush=True, file=sys.stderr)
        # Not a blocking read: it would keep gevent from noticing Ctrl-C.
        greenlets.sockets.wait_read(sys.stdin.fileno())
        return sys.stdin.readline().rstrip("\n")


@contextmanager
def _hidden() -> Iterator[None]:
    before = termios.tcgetattr(sys.stdin)
    silent = [*before]
    silent[3] &= ~termios.ECHO
    termios.tcsetattr(sys.stdin, termios.TCSADRAIN, silent)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
        print(file=sys.stderr)
