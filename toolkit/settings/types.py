"""Value types of the settings, each with the check and the message that a user gets."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated
from zoneinfo import available_timezones

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator


def _matching(pattern: str, accepted: str):
    compiled = re.compile(pattern)

    def check(value: str) -> str:
        if not compiled.fullmatch(value):
            raise ValueError(f"accepted: {accepted}")
        return value

    return AfterValidator(check)


def _absolute_path(value: str) -> str:
    if not value.startswith("/") or ".." in value.split("/") or re.search(r"[\x00-\x1f:$]", value):
        raise ValueError("accepted: an absolute path without '..', ':', '$' or control characters")
    return value.rstrip("/") or "/"


def _ip_address(value: str) -> str:
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        raise ValueError("accepted: an IPv4 or IPv6 address") from None


def _time_zone(value: str) -> str:
    if value not in available_timezones():
        raise ValueError("accepted: a name of the time zone database, such as Europe/Berlin")
    return value


def _mount(value: str) -> str:
    parts = value.split(":")
    if len(parts) not in (2, 3) or (len(parts) == 3 and parts[2] not in ("ro", "rw")):
        raise ValueError("accepted: SOURCE:TARGET or SOURCE:TARGET:ro|rw")
    for path in parts[:2]:
        _absolute_path(path)
    return value


AbsolutePath = Annotated[str, AfterValidator(_absolute_path)]
AptPackage = Annotated[
    str, _matching(r"[a-z0-9][a-z0-9+.-]+(=[A-Za-z0-9.+:~-]+)?", "a Debian package name, optionally =VERSION")
]
PipRequirement = Annotated[
    str,
    _matching(r"[A-Za-z0-9][A-Za-z0-9._-]*(\[[A-Za-z0-9,._-]+\])?((==|>=|<=|~=|!=|<|>)[A-Za-z0-9.*+!,<>=~-]+)?", "a pip requirement such as name==1.2"),
]
CpuCount = Annotated[float, Field(gt=0, le=1024)]
EnvironmentName = Annotated[str, _matching(r"[A-Za-z_][A-Za-z0-9_]*", "letters, digits and underscores")]
IpAddress = Annotated[str, AfterValidator(_ip_address)]
Memory = Annotated[str, _matching(r"[1-9][0-9]*[kmg]", "a whole number and k, m or g, such as 3g")]
Mount = Annotated[str, AfterValidator(_mount)]
Port = Annotated[int, Field(ge=1, le=65535)]
ProjectName = Annotated[str, _matching(r"[a-z0-9][a-z0-9_-]{0,62}", "lower-case letters, digits, - and _")]
TimeZone = Annotated[str, AfterValidator(_time_zone)]
Url = Annotated[str, _matching(r"https?://[^\s\"'\\]+", "an http:// or https:// address")]
Version = Annotated[str, _matching(r"[0-9]+\.[0-9]+\.[0-9]+([-+][0-9A-Za-z.-]+)?", "a full version as a string, such as '2026.9.6'")]
VolumeName = Annotated[
    str, _matching(r"[A-Za-z0-9][A-Za-z0-9_.-]{1,127}|/[^\x00-\x1f:$]+", "a volume name or an absolute path")
]


class CredentialReference(BaseModel):
    """Where a secret is read on the control machine: exactly one of the three."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    env: str | None = None
    """Environment variable."""
    file: str | None = None
    """File; its content without the final newline."""
    command: str | None = None
    """Command whose output is the secret, without the final newline."""

    @model_validator(mode="after")
    def _exactly_one(self) -> CredentialReference:
        if sum(value is not None for value in (self.env, self.file, self.command)) != 1:
            raise ValueError("accepted: exactly one of env, file and command")
        return self


def memory_bytes(value: str) -> int:
    """Return the bytes of a `Memory` value such as `3g`."""
    return int(value[:-1]) << {"k": 10, "m": 20, "g": 30}[value[-1]]
