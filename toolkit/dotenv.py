"""`.env` files in the dialect of Docker Compose, edited without touching what is not asked for.

The dialect: https://docs.docker.com/compose/how-tos/environment-variables/variable-interpolation/
(section "`.env` file"): `KEY=VALUE`, `KEY: VALUE`, `export KEY=VALUE`, comments, single quotes
(literal, `\\'` for a quote), double quotes (escapes and interpolation), values over several lines.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

_KEY = re.compile(
    r"(?:export[ \t]+)?(?P<key>[A-Za-z0-9_.\[\]-]+)[ \t]*(?P<separator>[=:]|(?=\r?\n|\Z))"
)
_QUOTED = {
    quote: re.compile(rf"{quote}((?:\\.|[^{quote}\\])*){quote}", re.DOTALL) for quote in "'\""
}
_UNQUOTED = re.compile(r"[^\r\n]*")
_BLANK = re.compile(r"(?:\s+|#[^\n]*)+")
_SAFE = re.compile(r"[A-Za-z0-9_./:@%+,=-]*")


class DotenvError(ValueError):
    """A text that Compose would refuse to read; the message names the line, never a value."""


@dataclass(frozen=True)
class Binding:
    """One `KEY=VALUE` and where it stands in the text; `value` is None for a key alone."""

    key: str
    value: str | None
    start: int
    end: int
    line: int


def decode(data: bytes) -> str:
    """Return the text of a `.env` file.

    Raises:
        DotenvError: it is not UTF-8 or contains a NUL.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DotenvError(f"line {data[: error.start].count(10) + 1} is not UTF-8") from None
    if "\0" in text:
        raise DotenvError(f"line {text[: text.index(chr(0))].count(chr(10)) + 1} contains a NUL")
    return text


def parse(text: str) -> list[Binding]:
    """Return the bindings of a text in their order.

    Raises:
        DotenvError: Compose could not read it, or a key has two different values.
    """
    bindings: dict[str, Binding] = {}
    found = list(_bindings(text))
    for binding in found:
        earlier = bindings.setdefault(binding.key, binding)
        if earlier.value != binding.value:
            raise DotenvError(
                f"{binding.key} has two different values, in lines {earlier.line} "
                f"and {binding.line}"
            )
    return found


def values(text: str) -> dict[str, str]:
    """Return the values by key, as written (without interpolation)."""
    return {binding.key: binding.value for binding in parse(text) if binding.value is not None}


def edit(text: str, wanted: Mapping[str, str], unwanted: Collection[str] = ()) -> str:
    """Return `text` with the wanted values and without the unwanted keys.

    Lines that already say what is wanted, comments, the order and all other keys stay as they
    are; new keys are appended. A text that needs no change is returned as it is.
    """
    bindings = parse(text)
    for binding in reversed(bindings):
        if binding.key in unwanted:
            end = binding.end + (text[binding.end : binding.end + 1] == "\n")
            text = text[: binding.start] + text[end:]
        elif binding.key in wanted and binding.value != wanted[binding.key]:
            text = (
                text[: binding.start] + line(binding.key, wanted[binding.key]) + text[binding.end :]
            )
    present = {binding.key for binding in bindings}
    missing = [line(key, value) + "\n" for key, value in wanted.items() if key not in present]
    if missing and text and not text.endswith("\n"):
        text += "\n"
    return text + "".join(missing)


def line(key: str, value: str) -> str:
    """Return `KEY=VALUE`, quoted so that Compose reads exactly `value`."""
    if _SAFE.fullmatch(value):
        return f"{key}={value}"
    if "'" not in value and "\\" not in value:
        return f"{key}='{value}'"
    return f'{key}="' + re.sub(r'([\\"$])', r"\\\1", value) + '"'


def _bindings(text: str) -> Iterator[Binding]:
    position = 0
    while True:
        blank = _BLANK.match(text, position)
        position = blank.end() if blank else position
        if position >= len(text):
            return
        number = text.count("\n", 0, position) + 1
        key = _KEY.match(text, position)
        if not key:
            raise DotenvError(f"line {number} is neither KEY=VALUE nor a comment")
        value, end = None, key.end()
        if key["separator"]:
            value, end = _value(text, key.end(), number)
        yield Binding(key["key"], value, position, end, number)
        position = end


def _value(text: str, position: int, number: int) -> tuple[str, int]:
    while text[position : position + 1] in (" ", "\t"):
        position += 1
    quote = text[position : position + 1]
    if quote in _QUOTED:
        quoted = _QUOTED[quote].match(text, position)
        if not quoted:
            raise DotenvError(f"line {number} opens a quote that is never closed")
        body = quoted[1]
        if quote == "'":
            return body.replace("\\'", "'"), quoted.end()
        return re.sub(r"\\(.)", _unescape, body, flags=re.DOTALL), quoted.end()
    plain = _UNQUOTED.match(text, position)
    assert plain  # it matches the empty text
    comment = re.search(r"(?:^|[ \t])#", plain[0])
    body = plain[0][: comment.start()] if comment else plain[0]
    return body.rstrip(), plain.end()


def _unescape(match: re.Match[str]) -> str:
    return {"n": "\n", "r": "\r", "t": "\t"}.get(match[1], match[1])
