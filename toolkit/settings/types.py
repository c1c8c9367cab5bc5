"""Value types of the settings: what each accepts, checked and said in words.

Every type carries `Accepts`, the words of error messages and of the reference.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from toolkit import patterns
from toolkit.settings import validators


@dataclass(frozen=True)
class Accepts:
    """What a type accepts, in words that follow "accepted: "."""

    words: str


@dataclass(frozen=True)
class Unit:
    """The unit of a number, for the reference."""

    words: str


@dataclass(frozen=True)
class MountPoint:
    """The parts of a `Mount`."""

    source: str
    target: str
    read_only: bool


def parse_mount(mount: str) -> MountPoint:
    """Return the parts of a validated `Mount`."""
    source, target, *options = mount.split(":")
    return MountPoint(source, target, read_only=options == ["ro"])


def memory_bytes(value: str) -> int:
    """Return the bytes of a `Memory` value such as `3g`."""
    return int(value[:-1]) << {"k": 10, "m": 20, "g": 30}[value[-1]]


def pattern(whole: str) -> StringConstraints:
    """Return what has a text be of a pattern from its beginning to its end."""
    return StringConstraints(pattern=f"^(?:{whole})$")


# Python takes True for 1. Stands after the limits of a number, or the schema loses them.
NOT_A_BOOLEAN = BeforeValidator(validators.not_a_boolean)

AbsolutePath = Annotated[
    str,
    AfterValidator(validators.absolute_path),
    Accepts("an absolute path without '..', ':' and ','"),
]
AptPackage = Annotated[
    str,
    pattern(r"[a-z0-9][a-z0-9+.-]*[a-z0-9+](:[a-z0-9]+)?(=[A-Za-z0-9.+:~-]+)?"),
    Accepts("the name of a Debian package, such as `ffmpeg` or `git=1:2.39.5-0+deb12u2`"),
]
AuthChoice = Annotated[
    str, pattern(r"[a-z0-9][a-z0-9-]*"), Accepts("a choice of `openclaw onboard --auth-choice`")
]
Boolean = Annotated[bool, Accepts("true or false")]
CpuCount = Annotated[
    float,
    Field(gt=0, le=1024),
    NOT_A_BOOLEAN,
    AfterValidator(float),
    Accepts("a number above 0, at most 1024"),
    Unit("cores"),
]
EnvironmentName = Annotated[
    str,
    pattern(r"[A-Za-z_][A-Za-z0-9_]*"),
    Accepts("the name of an environment variable: letters, digits and underscores"),
]
EnvironmentValue = Annotated[
    str,
    AfterValidator(validators.environment_value),
    Accepts("text on one line without $"),
]
GitRef = Annotated[str, AfterValidator(validators.git_ref), Accepts("a branch, tag or commit")]
GitRepository = Annotated[
    str,
    AfterValidator(validators.git_repository),
    Accepts("https://..., ssh://..., git@HOST:PATH, file:///... or an absolute path"),
]
ImageReference = Annotated[
    str,
    pattern(patterns.IMAGE),
    Accepts("[REGISTRY/]NAME[:TAG][@sha256:DIGEST], such as `ghcr.io/openclaw/openclaw:2026.9.6`"),
]
IpAddress = Annotated[
    str, AfterValidator(validators.ip_address), Accepts("an IPv4 or IPv6 address, without brackets")
]
JsonObject = Annotated[
    dict[str, Any],
    AfterValidator(validators.json_value),
    Accepts("a mapping of what JSON can hold"),
]
Memory = Annotated[
    str,
    StringConstraints(pattern="^[1-9][0-9]{0,8}[kmgKMG]$", to_lower=True),
    Accepts("a whole number and k, m or g, such as `512m` or `3g`"),
    Unit("k, m, g: KiB, MiB, GiB"),
]
Mount = Annotated[
    str,
    AfterValidator(validators.mount),
    Accepts("SOURCE:TARGET, SOURCE:TARGET:ro or SOURCE:TARGET:rw with absolute paths"),
]
Network = Annotated[
    str,
    AfterValidator(validators.network),
    Accepts("an IP address or a network such as `10.0.0.0/8`"),
]
Origin = Annotated[
    str, AfterValidator(validators.origin), Accepts("an origin such as `https://claw.example.org`")
]
PipRequirement = Annotated[
    str,
    pattern(
        r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?(\[[A-Za-z0-9,._-]+\])?"
        r"((===?|>=|<=|~=|!=|<|>)[A-Za-z0-9.*+!~-]+(,(==|>=|<=|~=|!=|<|>)[A-Za-z0-9.*+!~-]+)*)?"
    ),
    Accepts("a pip requirement without spaces, such as `name==1.2`; no options, no URLs"),
]
Port = Annotated[
    int,
    Field(ge=1, le=65535),
    NOT_A_BOOLEAN,
    Accepts("a port from 1 to 65535"),
]
ProjectName = Annotated[
    str,
    pattern(r"[a-z0-9][a-z0-9_-]{0,62}"),
    Accepts("up to 63 lower-case letters, digits, '-' and '_', the first a letter or digit"),
]
RegistryPath = Annotated[
    str,
    pattern(rf"{patterns.REGISTRY}(?:/{patterns.IMAGE_PATH})*"),
    Accepts("HOST[:PORT][/PATH] without https://, such as `registry.example.org/mirror`"),
]
TimeZone = Annotated[
    str,
    AfterValidator(validators.time_zone),
    Accepts("a name of the time zone database, such as `Europe/Berlin`"),
]
Url = Annotated[
    str,
    AfterValidator(validators.url),
    Accepts("an address that starts with http:// or https://, without user name and password"),
]
UserName = Annotated[
    str, pattern(r"[a-z_][a-z0-9_-]{0,31}"), Accepts("the name of a user of the host")
]
Version = Annotated[
    str,
    pattern(patterns.VERSION),
    Accepts('a full version as text, in quotes: "2026.9.6"'),
]
VolumeName = Annotated[
    str,
    AfterValidator(validators.volume),
    Accepts("a volume name (letters, digits, '_', '.', '-') or an absolute path"),
]
LocalText = Annotated[str, StringConstraints(min_length=1), AfterValidator(validators.plain_text)]


class CredentialReference(BaseModel):
    """Where a secret is read on the control machine: exactly one of the three."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={"minProperties": 1, "maxProperties": 1},
    )

    env: EnvironmentName | None = None
    """Environment variable."""
    file: LocalText | None = None
    """File; its content without the final newline."""
    command: LocalText | None = None
    """Command whose output is the secret, without the final newline."""

    @model_validator(mode="after")
    def _exactly_one(self) -> CredentialReference:
        if sum(value is not None for value in (self.env, self.file, self.command)) != 1:
            raise ValueError("not exactly one of the three")
        return self


Credential = Annotated[
    CredentialReference,
    Accepts("exactly one of `env: NAME`, `file: PATH` and `command: ...`, never the secret itself"),
]
