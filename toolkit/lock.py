"""What was resolved once, so that the next host and the next month build the same.

Two files of one form: `templates/images/releases.lock.yml` comes with the toolkit and knows its
default release; `openclaw.lock.yml` beside the inventory holds what was resolved since. Both
hold names, versions and digests, no addresses of registries.
"""

from __future__ import annotations

import fcntl
import os
import sys
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pyinfra.api.exceptions import PyinfraError

from toolkit import atomic, own_yaml

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = ROOT / "templates" / "images" / "releases.lock.yml"
NAME = "openclaw.lock.yml"

_INTEGRITY = r"^sha512-[A-Za-z0-9+/]{86}==$"
_VERSION = r"^[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$"


class LockError(PyinfraError):
    """A lock file cannot be read or written."""


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Binary(_Entry):
    """A program that npm packages carry, one for each architecture, and their integrity."""

    version: str = Field(pattern=_VERSION)
    x64: str = Field(pattern=_INTEGRITY)
    arm64: str = Field(pattern=_INTEGRITY)


class Npm(_Entry):
    """The npm package `npm`."""

    version: str = Field(pattern=_VERSION)
    integrity: str = Field(pattern=_INTEGRITY)


class Release(_Entry):
    """A release of OpenClaw and what it runs on.

    `resolved` is when it was resolved: its dependencies are installed as they were then.
    """

    resolved: str = Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
    engines: str
    openclaw: str = Field(pattern=_INTEGRITY)
    node: Binary
    npm: Npm


class Lock(_Entry):
    """`releases` by version, `images` (digests) by reference, `repositories` (commits) by
    `REPOSITORY#REF`, `tools` of the sandbox images by name."""

    releases: dict[str, Release] = Field(default_factory=dict)
    images: dict[str, str] = Field(default_factory=dict)
    repositories: dict[str, str] = Field(default_factory=dict)
    tools: dict[str, Binary] = Field(default_factory=dict)


def location() -> Path:
    """Return the path of the inventory's own lock file.

    It is beside the inventory file named on the command line; without one, in `inventories/`.
    """
    for argument in sys.argv[1:]:
        path = Path(argument)
        if path.suffix in (".py", ".yml", ".yaml") and path.name != "deploy.py" and path.is_file():
            return path.resolve().parent / NAME
    return ROOT / "inventories" / NAME


def read(path: Path | None = None) -> Lock:
    """Return the shipped lock and the inventory's own one as one; the inventory's one wins.

    Raises:
        LockError: a file is not readable or not a lock.
    """
    shipped, own = _load(SHIPPED), _load(path or location())
    return Lock(
        releases={**shipped.releases, **own.releases},
        images={**shipped.images, **own.images},
        repositories={**shipped.repositories, **own.repositories},
        tools={**shipped.tools, **own.tools},
    )


def record(
    *,
    releases: dict[str, Release] | None = None,
    images: dict[str, str] | None = None,
    repositories: dict[str, str] | None = None,
    tools: dict[str, Binary] | None = None,
    path: Path | None = None,
) -> Path:
    """Add entries to the inventory's own lock file and return its path.

    Several runs may do so at once; the file is replaced whole.

    Raises:
        LockError: the file cannot be written.
    """
    target = path or location()
    try:
        with open(target.parent / f".{target.name}", "w", opener=_for_us_alone) as guard:
            fcntl.flock(guard, fcntl.LOCK_EX)
            own = _load(target)
            added = Lock(
                releases={**own.releases, **(releases or {})},
                images={**own.images, **(images or {})},
                repositories={**own.repositories, **(repositories or {})},
                tools={**own.tools, **(tools or {})},
            )
            if added != own:
                _write(target, added)
            Path(guard.name).unlink()
    except OSError as error:
        raise LockError(f"lock {target}: cannot be written: {error.strerror}") from None
    return target


def _for_us_alone(path: str, flags: int) -> int:
    """Open a file that nobody else can open, and so hold, and that is no link."""
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)


def _load(path: Path) -> Lock:
    try:
        return Lock.model_validate(own_yaml.load(path.read_text()) or {})
    except FileNotFoundError:
        return Lock()
    except OSError as error:
        raise LockError(f"lock {path}: cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, ValidationError) as error:
        raise LockError(f"lock {path}: {error}") from None


def _write(path: Path, lock: Lock) -> None:
    text = "# Written by openclaw-pyinfra; keep it with the inventory.\n" + yaml.safe_dump(
        lock.model_dump(exclude_defaults=True), sort_keys=True
    )
    atomic.replace(path, text, 0o644)
