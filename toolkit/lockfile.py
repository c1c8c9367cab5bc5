"""What was resolved once, so that the next host and the next month build the same.

Two files of one form: `templates/images/releases.lock.yml` comes with the toolkit and knows its
default release; `openclaw.lock.yml` beside the inventory holds what was resolved since. Both
hold names, versions and digests, no addresses of registries. Every entry is matched against the
pattern of its kind when it is read and when it is written.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any
from weakref import WeakKeyDictionary

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.inventory import Inventory
from pyinfra.context import ctx_inventory

from toolkit import atomic, own_files, patterns, pyinfra_internals
from toolkit.by_content import ByContent

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = ROOT / "templates" / "images" / "releases.lock.yml"
NAME = "openclaw.lock.yml"
_files: WeakKeyDictionary[Inventory, Path] = WeakKeyDictionary()


def _whole(pattern: str) -> Any:
    return Field(pattern=f"^(?:{pattern})$")


_Integrity = Annotated[str, _whole(patterns.INTEGRITY)]
_Version = Annotated[str, _whole(patterns.VERSION)]
_Time = Annotated[str, _whole(patterns.TIME)]
_Engines = Annotated[str, _whole(patterns.ENGINES)]
_Image = Annotated[str, _whole(patterns.IMAGE)]
_Digest = Annotated[str, _whole(patterns.DIGEST)]
_Repository = Annotated[
    str, _whole(patterns.REPOSITORY_AND_REF), Field(max_length=patterns.REPOSITORY_LENGTH)
]
_Commit = Annotated[str, _whole(patterns.COMMIT)]
_Tool = Annotated[str, _whole(r"[a-z][a-z0-9-]*")]


class LockError(PyinfraError):
    """A lock file cannot be read or written."""


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Binary(_Entry):
    """A program that npm packages carry, one for each architecture, and their integrity."""

    version: _Version
    x64: _Integrity
    arm64: _Integrity


class Npm(_Entry):
    """The npm package `npm`."""

    version: _Version
    integrity: _Integrity


class Release(_Entry):
    """A release of OpenClaw and what it runs on.

    `resolved` is when it was resolved: its dependencies are installed as they were then.
    """

    resolved: _Time
    engines: _Engines
    openclaw: _Integrity
    node: Binary
    npm: Npm


class Lock(ByContent, _Entry):
    """`releases` by version, `images` (digests) by reference, `repositories` (commits) by
    `REPOSITORY#REF`, `tools` of the sandbox images by name."""

    releases: dict[_Version, Release] = Field(default_factory=dict)
    images: dict[_Image, _Digest] = Field(default_factory=dict)
    repositories: dict[_Repository, _Commit] = Field(default_factory=dict)
    tools: dict[_Tool, Binary] = Field(default_factory=dict)


Written = tuple[tuple[Path, atomic.Version | None], ...]
"""Files, and which they are; None: there is none."""


def declare(inventory: Inventory, file: Path) -> None:
    """Remember the file that an inventory was read from."""
    _files[inventory] = file.resolve()


def location() -> Path:
    """Return the path of the lock file of the run's inventory.

    It is beside the file that the inventory was read from; without one, in `inventories/`.
    """
    inventory = ctx_inventory.get()
    if inventory is None:
        return ROOT / "inventories" / NAME
    if inventory not in _files:
        file = pyinfra_internals.inventory_file(inventory)
        if file is None:
            return ROOT / "inventories" / NAME
        declare(inventory, file)
    return _files[inventory].with_name(NAME)


def read(path: Path | None = None) -> Lock:
    """Return the shipped lock and the inventory's own one as one; the inventory's one wins.

    Raises:
        LockError: a file is not readable or not a lock.
    """
    return _read(written(path))


def written(path: Path | None = None) -> Written:
    """Return what is another one once either of the two locks is another file, or none."""
    return tuple(map(_written, (SHIPPED, path or location())))


def _written(path: Path) -> tuple[Path, atomic.Version | None]:
    try:
        return path, atomic.version(path)
    except OSError:
        return path, None


@lru_cache(maxsize=8)
def _read(written: Written) -> Lock:
    shipped, own = (_load(path) for path, _ in written)
    return Lock(
        releases={**shipped.releases, **own.releases},
        images={**shipped.images, **own.images},
        repositories={**shipped.repositories, **own.repositories},
        tools={**shipped.tools, **own.tools},
    )


def record(path: Path | None = None, **entries: Mapping[str, Any]) -> Path:
    """Write entries to the inventory's own lock file and return its path; for the operator, whose
    word replaces what is there.

    Several runs may do so at once; the file is replaced whole.

    Raises:
        LockError: the file cannot be written, or an entry is not of its form.
    """
    return _write_to(path, entries, replace=True)


def add(path: Path | None = None, **entries: Mapping[str, Any]) -> Path:
    """Add entries for which there are none yet, in either lock; for what a host says, which
    replaces nothing. See `record`.
    """
    return _write_to(path, entries, replace=False)


def _write_to(path: Path | None, entries: Mapping[str, Mapping[str, Any]], replace: bool) -> Path:
    target = path or location()
    try:
        with open(target.parent / f".{target.name}", "wb", opener=_for_us_alone) as guard:
            fcntl.flock(guard, fcntl.LOCK_EX)
            own, known = _load(target), read(target)
            kinds = {}
            for kind, given in entries.items():
                there = {} if replace else getattr(known, kind)
                new = {key: value for key, value in given.items() if key not in there}
                kinds[kind] = {**getattr(own, kind), **new}
            added = Lock.model_validate({**dict(own), **kinds})
            if added != own:
                _write(target, added)
            Path(guard.name).unlink()
    except OSError as error:
        raise LockError(f"lock {target}: cannot be written: {error.strerror}") from None
    except ValidationError as error:
        raise LockError(f"lock {target}: not written: {_told(error)}") from None
    return target


def _for_us_alone(path: str, flags: int) -> int:
    """Open a file that nobody else can open, and so hold, and that is no link."""
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)


def _told(error: ValidationError) -> str:
    """Return which entry is not of its form; what it says may be a host's word."""
    first = error.errors()[0]
    place = " ".join(patterns.shown(part) for part in first["loc"])
    return f"{place}: {patterns.shown(first['input'])}: {first['msg']}"


@lru_cache(maxsize=8)
def _parsed(text: str) -> Lock:
    return Lock.model_validate(own_files.load(text) or {})


def _load(path: Path) -> Lock:
    text = ""
    try:
        text = own_files.read(path)
        return _parsed(text)
    except FileNotFoundError:
        return Lock()
    except OSError as error:
        raise LockError(f"lock {path}: cannot be read: {error.strerror}") from None
    except yaml.YAMLError as error:
        raise LockError(f"lock {path}{own_files.said(error, text)}") from None
    except UnicodeDecodeError:
        raise LockError(f"lock {path}: not text in UTF-8") from None
    except ValidationError as error:
        raise LockError(f"lock {path}: {_told(error)}") from None


def _write(path: Path, lock: Lock) -> None:
    text = "# Written by openclaw-pyinfra; keep it with the inventory.\n" + yaml.safe_dump(
        lock.model_dump(exclude_defaults=True), sort_keys=True
    )
    atomic.replace(path, text, 0o644)
