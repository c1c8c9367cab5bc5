"""Functions that check one value: they return it in its normal form or say what is wrong.

Values end up in YAML, Dockerfiles, shell commands and `.env` files; what could mean something
there (control characters, quotes, `$`, leading dashes) is refused here, once.
"""

from __future__ import annotations

import ipaddress
import posixpath
import re
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import available_timezones


def plain_text(value: str) -> str:
    if not all(character.isprintable() for character in value):
        raise ValueError("line breaks and control characters are not allowed")
    if value != value.strip():
        raise ValueError("spaces at the ends are not allowed")
    return value


def uninterpreted(value: str) -> str:
    plain_text(value)
    if found := next((character for character in "$\"'\\`" if character in value), None):
        raise ValueError(f"{found} is not allowed")
    return value


def environment_value(value: str) -> str:
    if "$" in plain_text(value):
        raise ValueError("$ is not allowed: Docker Compose would replace what follows")
    return value


def absolute_path(value: str) -> str:
    uninterpreted(value)
    if not value.startswith("/"):
        raise ValueError("not an absolute path")
    if ".." in value.split("/"):
        raise ValueError("'..' is not allowed")
    if found := next((character for character in ":," if character in value), None):
        raise ValueError(f"{found} is not allowed in a path")
    return plain_text(posixpath.normpath(re.sub("/+", "/", value)))


def mount(value: str) -> str:
    uninterpreted(value)
    source, *rest = value.split(":")
    if not 1 <= len(rest) <= 2:
        raise ValueError("not two or three parts separated by ':'")
    if len(rest) == 2 and rest[1] not in ("ro", "rw"):
        raise ValueError(f"the mode {rest[1]!r} is neither ro nor rw")
    paths = []
    for part, path in (("source", source), ("target", rest[0])):
        try:
            paths.append(absolute_path(path))
        except ValueError as error:
            raise ValueError(f"{part}: {error}") from None
    return ":".join([*paths, *rest[1:]])


def volume(value: str) -> str:
    if value.startswith("/"):
        return absolute_path(value)
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{1,127}", value):
        raise ValueError("not a volume name")
    return value


def ip_address(value: str) -> str:
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        raise ValueError("not an IP address") from None
    if address.is_multicast or "%" in value:
        raise ValueError("no address to publish a port on")
    return str(address)


def network(value: str) -> str:
    try:
        network = ipaddress.ip_network(value)
    except ValueError:
        raise ValueError("not an IP address or network, or bits are set after its prefix") from None
    return str(network) if "/" in value else str(network.network_address)


def url(value: str) -> str:
    uninterpreted(value)
    try:
        parts = urlsplit(value)
        valid = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        valid = False
    if not valid or re.search(r"\s", value):
        raise ValueError("not an address of the web")
    if "@" in parts.netloc:
        raise ValueError("a user name or password does not belong in the settings")
    return value.rstrip("/")


def origin(value: str) -> str:
    parts = urlsplit(url(value))
    if parts.path or parts.query or parts.fragment:
        raise ValueError("an origin has no path")
    return f"{parts.scheme}://{parts.netloc.lower()}"


def git_repository(value: str) -> str:
    uninterpreted(value)
    if value.startswith(("http://", "https://")):
        return url(value)
    if not re.fullmatch(r"(ssh://|git@[A-Za-z0-9.-]+:|file:///|/)[^\s-][^\s]*", value):
        raise ValueError("not the address of a git repository")
    return value


def git_ref(value: str) -> str:
    # A subset of `git check-ref-format`, and nothing that git would take for an option.
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._/+-]{0,199}", value):
        raise ValueError("not a branch, tag or commit")
    if ".." in value or "//" in value or value.endswith(("/", ".", ".lock")):
        raise ValueError("not a name that git allows")
    return value


def time_zone(value: str) -> str:
    # A control machine without tzdata knows no names; the container then has the last word.
    known = available_timezones() or {value}
    if value not in known or not re.fullmatch(r"[A-Za-z0-9_+/-]+", value):
        raise ValueError("not in the time zone database")
    return value


def not_a_boolean(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("not a number")
    return value


def json_value(value: Any) -> Any:
    """Return `value` as plain JSON data, refusing what JSON has no form for."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, (int, float)):
        if value != value or value in (float("inf"), float("-inf")):
            raise ValueError("not a number that JSON has")
        return float(value) if isinstance(value, float) else int(value)
    if isinstance(value, (list, tuple)):
        return [json_value(item) for item in value]
    if isinstance(value, dict):
        if wrong := [key for key in value if not isinstance(key, str)]:
            raise ValueError(f"the key {wrong[0]!r} is not text: write it in quotes")
        return {key: json_value(item) for key, item in value.items()}
    raise ValueError(f"JSON has no form for a {type(value).__name__}")
