"""The form of what others say: a host, a registry, a deployed openclaw.json, a lock file.

Each is the pattern of a whole text. Whoever hears something matches it before anyone uses it.
"""

from __future__ import annotations

import json
import re
from typing import TypeVar

from pyinfra.api.exceptions import PyinfraError

DIGEST = r"sha256:[0-9a-f]{64}"
"""Of an image, a manifest or a layer; an image's id is one, too."""
INPUTS = r"[0-9a-f]{64}"
"""The digest of what an image is made from."""
COMMIT = r"[0-9a-f]{40}"
INTEGRITY = r"sha512-[A-Za-z0-9+/]{86}=="
VERSION = r"[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?"
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
NUMBER = r"[0-9]{1,12}"
BYTES = r"[0-9]{1,15}"
"""How many, as text."""
PORT = r"[1-9][0-9]{0,4}"
NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}"
"""Of a network, a container, a kernel profile."""
INTERFACE = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,14}"
AGENT = r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}"
USER = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,31})?"
PATH = r"/(?!(.*/)?\.\.?(/|\Z))[^\x00-\x1f\x7f-\x9f\u2028\u2029\\\"'`$]{0,1000}"
"""An absolute path without `.`, `..`, quotes and control characters."""
TEXT = r"[^\x00-\x1f\x7f-\x9f\u2028\u2029]{0,500}"
"""Of one line."""
IMAGE_PATH = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
REGISTRY = r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?"
IMAGE_NAME = rf"(?:{REGISTRY}/)?{IMAGE_PATH}(?:/{IMAGE_PATH})*"
IMAGE = rf"{IMAGE_NAME}(?::[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}})?(?:@{DIGEST})?"
"""A reference to an image."""
REPOSITORY_AND_REF = r"[^\s\"'`$\\\x00-\x20\x7f-\x9f]+#[A-Za-z0-9_][A-Za-z0-9._/+-]*"
"""Of REPOSITORY_LENGTH at most: as {1,500} of the pattern it takes pydantic 6 ms to compile."""
REPOSITORY_LENGTH = 700
ENGINES = r"[0-9A-Za-z .<>=|^~*-]{1,200}"


T = TypeVar("T")


class MismatchError(PyinfraError):
    """Something that was said is not of its form."""


def shown(value: object, length: int = 80) -> str:
    """Return a value that somebody said, on one line and without a character that means anything
    to a terminal.
    """
    text = ascii(value)
    return text if len(text) <= length else f"{text[:length]}..."


def matches(pattern: str, value: object) -> bool:
    """Return whether a value is text of a form, and nothing but that."""
    return isinstance(value, str) and re.fullmatch(pattern, value) is not None


def numbers(version: str) -> list[int]:
    """Return the numbers of a release, by which a later one is known: 2026.9.6-beta.1 is before
    2026.9.6, and 2026.9.6-1, a correction, after it.
    """
    release, _, more = version.partition("-")
    first, rest = ([int(part) for part in re.findall(r"\d{1,9}", text)] for text in (release, more))
    return [*first, -1 if more[:1].isalpha() else 0, *rest]


def of_json(kind: type[T], text: str, what: str) -> T:
    """Return the list or object that somebody wrote as JSON.

    + what: what it should be, in words for the error

    Raises:
        MismatchError: it is no JSON, or something else.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, kind):
        raise MismatchError(f"{shown(text)} is not {what}")
    return found


def matched(pattern: str, value: object, what: str) -> str:
    """Return a value of a form.

    + what: the form, in words for the error

    Raises:
        MismatchError: it is not of that form.
    """
    if not isinstance(value, str) or not matches(pattern, value):
        raise MismatchError(f"{shown(value)} is not {what}")
    return value
