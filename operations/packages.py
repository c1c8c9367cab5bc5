"""Debian packages, through one choke point: `templates/packages/manager.sh`.

Every call of apt waits for the lock, asks nothing, keeps configuration files that were edited,
does not let needrestart restart services, mends an interrupted dpkg first, and retries only
what is read from the network.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

from pyinfra import host
from pyinfra.api import StringCommand
from pyinfra.api.deploy import deploy

from operations.base import files, preflight, snapshot, templates
from operations.base.operation import operation
from operations.base.preflight import Problem
from operations.distributions import IMAGE_SUITE, SEARCH
from toolkit.settings import Settings
from toolkit.settings.sandbox import names as sandbox_names

Names = Callable[[Settings], Iterable[str]]
_required: list[Names] = []
_known: list[Names] = []
_OWN = ("ca-certificates", "curl")


@snapshot.fact("packages")
@dataclass(frozen=True)
class Packages:
    """What dpkg and apt of a host say: versions of the known packages that are installed; where
    some are to be, the components of the release that the sources name.
    """

    versions: dict[str, str]
    interrupted: bool = False
    mirror: str = ""
    mirror_problem: str = ""
    unknown: tuple[str, ...] = ()
    components: tuple[str, ...] = ()

    @staticmethod
    def script(settings: Settings) -> str:
        of_images = _image_packages(settings).values()
        return templates.render(
            "packages/probe.sh.j2",
            known=sorted({name for function in _known for name in function(settings)}),
            required=_needed(settings),
            engine=settings.engine.source != "existing",
            image_packages=sorted({name for names in of_images for name in names}),
            image_suite=IMAGE_SUITE,
        )

    @classmethod
    def parse(cls, lines: list[str]) -> Packages:
        versions: dict[str, str] = {}
        facts: dict[str, str] = {}
        unknown, components = [], []
        for line in lines:
            word, _, rest = line.partition(" ")
            if word == "installed":
                name, _, version = rest.partition(" ")
                versions[name] = version
            elif word == "unknown":
                unknown.append(rest)
            elif word == "component":
                components.append(rest)
            else:
                facts[word] = rest
        return cls(
            versions,
            "interrupted" in facts,
            facts.get("mirror", ""),
            facts.get("mirror-problem", ""),
            tuple(unknown),
            tuple(components),
        )


def required(function: Names) -> Names:
    """Register a function that names packages which the toolkit needs on a host.

    `packages.install` installs them all in one go, before any other stage.
    """
    _required.append(function)
    return known(function)


def known(function: Names) -> Names:
    """Register a function that names packages whose state the snapshot must hold."""
    _known.append(function)
    return function


@required
def own(settings: Settings) -> Iterable[str]:
    return _OWN


def install_command(items: Iterable[str]) -> StringCommand:
    """Return the command that brings `items` to their state (`packages_install` says which)."""
    words = " ".join(quote(item) for item in items)
    return StringCommand(f"sh -s -- {words}", _stdin=[templates.render("packages/install.sh.j2")])


def trusted_key(
    path: str, url: str, fingerprint: str, given: str | None, setting: str
) -> Generator:
    """Yield what puts the signing key of a repository on a host, for apt to read there.

    + path: where, by its whole name
    + url: of the key, which is taken only if it has that fingerprint
    + given: the file on this machine that is to be the key instead, and `setting` names it
    """
    if given:
        yield StringCommand(f"mkdir -p {quote(path.rpartition('/')[0])}")
        content = Path(given).read_text(encoding="utf-8").rstrip("\n") + "\n"
        yield files.write_command(files.File(path, content))
        return
    script = templates.render(
        "packages/key.sh.j2", key=path, url=url, fingerprint=fingerprint, setting=setting
    )
    yield StringCommand("sh", "-s", "--", _stdin=[script])


@operation
def installed(names: Iterable[str]) -> Generator:
    """Install the packages that are missing.

    + names: of packages that are registered with `required` or `known`
    """
    names = list(names)
    state = snapshot.of(Packages)
    missing = [name for name in names if name not in state.versions]
    if missing or state.interrupted:
        yield install_command(missing or names)
    else:
        host.noop("the packages are installed")


@deploy("Packages")
def install(settings: Settings) -> None:
    """Install what the toolkit itself needs on a host."""
    installed(name="Install the packages that the toolkit needs", names=_needed(settings))


@preflight.check
def package_problems(settings: Settings) -> Iterable[Problem]:
    state = snapshot.of(Packages)
    if state.mirror_problem:
        yield Problem(
            f"the package mirror {state.mirror} cannot be reached: {state.mirror_problem}",
            "check the host's network, its apt sources and its apt proxy",
        )
    for key, names in _image_packages(settings).items():
        unknown = [name for name in names if name in state.unknown]
        if unknown:
            yield Problem(
                f"{key}: no such package in Debian {IMAGE_SUITE}: {', '.join(unknown)}",
                f"correct the name; `{SEARCH}` on a Debian host finds it",
            )


def _image_packages(settings: Settings) -> dict[str, list[str]]:
    """Return the packages that images get, without versions, by the setting that names them."""
    wanted = {}
    if settings.gateway.source != "image":
        wanted["gateway.apt_packages"] = settings.gateway.apt_packages
    for kind in sandbox_names.kinds(settings.sandbox):
        image = getattr(settings.sandbox.images, kind)
        if image.source == "build":
            wanted[f"sandbox.images.{kind}.apt_packages"] = image.apt_packages
    return {key: [item.partition("=")[0] for item in items] for key, items in wanted.items()}


def _needed(settings: Settings) -> list[str]:
    return sorted({name for function in _required for name in function(settings)})
