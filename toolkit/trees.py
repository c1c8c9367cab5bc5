"""The dependency tree of a release: every npm package of it with its version and integrity.

Resolved once and then installed as it is. It has the form of npm's own lock file, without any
address: npm finds each tarball at the registry that a host's npm is configured for, and refuses
what has another integrity. `templates/images/releases/VERSION.json` comes with the toolkit,
`openclaw.lock.d/VERSION.json` beside the inventory holds what was resolved since.
"""

from __future__ import annotations

import json
import tempfile
import threading
from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from toolkit import atomic, lockfile, npm
from toolkit.lockfile import LockError, Release
from toolkit.npm import ReleaseError

SHIPPED = lockfile.ROOT / "templates" / "images" / "releases"
NAME = "openclaw.lock.d"
TIMEOUT_SECONDS = 300
"""For all of a tree's packages; on a slow line it is 30 s."""
MAXIMUM_BYTES = 8_000_000
_AS_BUILDS_DO = (
    "--ignore-scripts",
    "--omit=dev",
    "--install-strategy=shallow",
    "--allow-git=none",
    "--lockfile-version=3",
)

_NAME = r"(?:@[A-Za-z0-9_.~-]+/)?[A-Za-z0-9_~][A-Za-z0-9_.~-]*"
_PACKAGE = rf"node_modules/{_NAME}"
_Name = Annotated[str, Field(pattern=rf"^{_NAME}$")]
_Range = Annotated[str, Field(pattern=rf"^(?:npm:{_NAME}@)?[A-Za-z0-9_.*<>=~^|() +-]*$")]
"""Versions of a package of the registry: no address, no repository, no file."""
_Path = Annotated[str, Field(pattern=rf"^(?:{_PACKAGE}(?:/{_PACKAGE})*)?$")]
_File = Annotated[str, Field(pattern=r"^[A-Za-z0-9_@.~+/-]+$")]
_Word = Annotated[str, Field(pattern=r"^!?[a-z0-9_]+$")]
_INTEGRITY = r"^sha512-[A-Za-z0-9+/]{86}==$"
_VERSION = r"^[0-9]+\.[0-9]+\.[0-9]+(?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?$"


class _Optional(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)
    optional: bool = False


class Package(BaseModel):
    """A package at its place in the tree: what npm needs to install it, and no more."""

    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)
    name: _Name | None = None
    version: str | None = Field(default=None, pattern=_VERSION)
    integrity: str | None = Field(default=None, pattern=_INTEGRITY)
    dependencies: dict[_Name, _Range] = Field(default_factory=dict)
    optionalDependencies: dict[_Name, _Range] = Field(default_factory=dict)
    peerDependencies: dict[_Name, _Range] = Field(default_factory=dict)
    peerDependenciesMeta: dict[_Name, _Optional] = Field(default_factory=dict)
    bundleDependencies: tuple[_Name, ...] = ()
    bin: dict[_Name, _File] = Field(default_factory=dict)
    os: tuple[_Word, ...] = ()
    cpu: tuple[_Word, ...] = ()
    libc: tuple[_Word, ...] = ()
    optional: bool = False
    peer: bool = False
    inBundle: bool = False
    hasInstallScript: bool = False


class Tree(BaseModel):
    """`packages` by their place; the empty one is the root, which wants nothing but the release."""

    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)
    packages: dict[_Path, Package]

    @property
    def text(self) -> str:
        """npm's lock file of it, a package a line."""
        lines = (
            f"{json.dumps(path)}: {json.dumps(package.model_dump(exclude_defaults=True))}"
            for path, package in sorted(self.packages.items())
        )
        head = '{"name": "openclaw-tree", "version": "0.0.0", "lockfileVersion": 3'
        return f'{head}, "requires": true, "packages": {{\n' + ",\n".join(lines) + "\n}}\n"


def of(version: str, release: Release) -> str:
    """Return the text of a release's tree: the recorded one, or what npm resolves it to now, once
    per process, as it was when the release was resolved.

    Raises:
        LockError: a recorded tree is not one, or not this release's; or npm cannot resolve it.
    """
    for path in (_own(version), SHIPPED / f"{version}.json"):
        try:
            written = path.stat().st_mtime_ns
        except OSError:
            continue
        return _read(path, written, version, release.openclaw)
    return _resolved(version, release.openclaw, release.resolved)


def record(version: str, text: str, directory: Path | None = None) -> Path:
    """Write a release's tree beside the inventory, unless it is known; return its path.

    Raises:
        LockError: it cannot be written.
    """
    path = directory / f"{version}.json" if directory else _own(version)
    if not directory and (path.exists() or (SHIPPED / path.name).exists()):
        return path
    try:
        path.parent.mkdir(exist_ok=True)
        atomic.replace(path, text, 0o644)
    except OSError as error:
        raise LockError(f"lock {path}: cannot be written: {error.strerror}") from None
    return path


def parse(text: str, version: str, integrity: str) -> Tree:
    """Return a tree, of npm's lock file or of a recorded one.

    Raises:
        ValueError: it is not the tree of this release, or a package is not pinned by its content.
    """
    tree = Tree.model_validate_json(text)
    root, release = tree.packages.get(""), tree.packages.get("node_modules/openclaw")
    if not root or root.dependencies != {"openclaw": version} or not release:
        raise ValueError(f"it is not the tree of openclaw {version}")
    if (release.version, release.integrity) != (version, integrity):
        raise ValueError(f"openclaw in it is {release.integrity}, the lock has {integrity}")
    for path, package in tree.packages.items():
        if path and not (package.version and (package.integrity or package.inBundle)):
            raise ValueError(f"{path} has no version or no sha512 integrity")
    return tree


def _own(version: str) -> Path:
    return lockfile.location().parent / NAME / f"{version}.json"


@cache
def _read(path: Path, written: int, version: str, integrity: str) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(MAXIMUM_BYTES)
        if path.parent == SHIPPED and f'"version": "{version}", "integrity": "{integrity}"' in text:
            return text  # a test has parsed it
        return parse(text, version, integrity).text
    except OSError as error:
        raise LockError(f"lock {path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise LockError(f"lock {path}: {_reason(error)}") from None


_ASKING = threading.Lock()
_answers: dict[tuple[str, str, str], str | LockError] = {}


def _resolved(version: str, integrity: str, before: str) -> str:
    key = (version, integrity, before)
    with _ASKING:  # the hosts of a run come at once
        if key not in _answers:
            try:
                with npm.asked(f"the dependencies of openclaw {version}", TIMEOUT_SECONDS):
                    _answers[key] = _resolve(*key)
            except LockError as error:
                _answers[key] = error
    answer = _answers[key]
    if isinstance(answer, LockError):
        raise answer
    return answer


def _resolve(version: str, integrity: str, before: str) -> str:
    """npm itself decides on the tree; it installs nothing and runs nothing."""
    if not npm.there():
        raise ReleaseError(
            f"the dependencies of openclaw {version} are not in the lock, and this machine has no"
            " npm to ask",
            f"install npm here, or run `python -m toolkit.releases {version}` where there is one"
            f" and bring {lockfile.location()} and {_own(version)} along",
        )
    with tempfile.TemporaryDirectory(prefix="openclaw-tree-") as name:
        directory = Path(name)
        root = {"name": "openclaw-tree", "version": "0.0.0", "dependencies": {"openclaw": version}}
        (directory / "package.json").write_text(json.dumps(root), encoding="utf-8")
        done = npm.run(
            "install", "--package-lock-only", *_AS_BUILDS_DO, f"--before={before}",
            seconds=TIMEOUT_SECONDS, directory=directory,
        )  # fmt: skip
        if done.returncode:
            raise npm.failed(f"npm cannot resolve the dependencies of openclaw {version}; it", done)
        text = (directory / "package-lock.json").read_text(encoding="utf-8")
    try:
        return parse(text, version, integrity).text
    except ValueError as error:
        raise ReleaseError(
            f"gateway.version {version}: its dependencies cannot be pinned: {_reason(error)}",
            "choose another gateway.version",
        ) from None


def _reason(error: ValueError) -> str:
    """The first thing that is wrong, in a line."""
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors(include_url=False)[0]
    place = " ".join(str(part) for part in first["loc"])
    return f"{place}: {first['msg']}: {first['input']!r:.200}"
