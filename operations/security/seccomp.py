"""The system call profiles, made from `templates/security/system_calls.yml`.

The form is that of Docker's own profile (docs.docker.com, "Seccomp security profiles for Docker"):
what no rule allows is answered with EPERM. There are no rules for amd64's 32-bit and x32 calls: a
program that makes one is killed.
"""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import to_json

from operations.base.templates import DIRECTORY
from toolkit import own_files

Kind = Literal["tools", "browser", "gateway"]
KINDS: tuple[Kind, ...] = ("tools", "browser", "gateway")
Architecture = Literal["amd64", "arm64"]
SOURCE = DIRECTORY / "security" / "system_calls.yml"
EPERM, ENOSYS = 1, 38
ARCHITECTURES: dict[Architecture, str] = {
    "amd64": "SCMP_ARCH_X86_64",
    "arm64": "SCMP_ARCH_AARCH64",
}
_INT = 0xFFFFFFFF
"""The kernel reads these arguments as 32 bits; a filter that compares 64 can be deceived."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Condition(_Strict):
    """An argument whose bits under `mask` must be `value`."""

    argument: Annotated[int, Field(ge=0, le=5)]
    value: int
    mask: int = _INT


class Entry(_Strict):
    """Calls that are needed for one reason."""

    why: str
    calls: tuple[str, ...]
    profiles: tuple[Kind, ...] = KINDS
    architectures: tuple[Architecture, ...] = ("amd64", "arm64")
    argument: int | None = None
    values: dict[str, int] = Field(default_factory=dict)
    mask: int = _INT
    when: tuple[tuple[Condition, ...], ...] = ()
    answer: Literal["ENOSYS"] | None = None

    def alternatives(self) -> list[tuple[Condition, ...]]:
        """Return the conditions, one tuple for each rule; an empty one allows every argument."""
        if self.argument is not None:
            return [
                (Condition(argument=self.argument, value=value, mask=self.mask),)
                for value in self.values.values()
            ]
        return list(self.when) or [()]


@cache
def entries() -> tuple[Entry, ...]:
    """Return the source's entries."""
    source = own_files.load(SOURCE.read_text(encoding="utf-8"))
    return tuple(Entry.model_validate(entry) for entry in source["calls"])


def allowed(kind: Kind, architecture: Architecture) -> list[str]:
    """Return the calls that a profile allows, with any arguments or with some, by name."""
    return sorted(
        call
        for entry in entries()
        if entry.answer is None and kind in entry.profiles and architecture in entry.architectures
        for call in entry.calls
    )


def profile(kind: Kind) -> dict[str, Any]:
    """Return a profile as Docker reads it."""
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": EPERM,
        "archMap": [
            {"architecture": name, "subArchitectures": []} for name in ARCHITECTURES.values()
        ],
        "syscalls": [
            rule for entry in entries() if kind in entry.profiles for rule in rules(entry)
        ],
    }


@cache
def render(kind: Kind) -> str:
    """Return a profile's file."""
    return to_json(profile(kind), indent=1).decode() + "\n"


def rules(entry: Entry) -> list[dict[str, Any]]:
    """Return an entry's rules; the engine joins them by "or", the conditions of one by "and"."""
    rule: dict[str, Any] = {"comment": entry.why, "names": list(entry.calls)}
    if len(entry.architectures) < len(ARCHITECTURES):
        rule["includes"] = {"arches": list(entry.architectures)}
    if entry.answer:
        return [rule | {"action": "SCMP_ACT_ERRNO", "errnoRet": ENOSYS}]
    rule["action"] = "SCMP_ACT_ALLOW"
    return [
        rule | {"args": [_argument(condition) for condition in conditions]}
        for conditions in entry.alternatives()
    ]


def _argument(condition: Condition) -> dict[str, Any]:
    return {
        "index": condition.argument,
        "value": condition.mask,
        "valueTwo": condition.value,
        "op": "SCMP_CMP_MASKED_EQ",
    }
