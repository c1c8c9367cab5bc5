"""The images that the toolkit builds: what each is called, and what it is made from."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath
from typing import Literal

from operations.base import files
from operations.images import gateway
from operations.images.identity import Base
from operations.images.sandbox import contexts, probes
from toolkit import lockfile
from toolkit.lockfile import Lock, LockError
from toolkit.settings import Settings
from toolkit.settings.sandbox import names
from toolkit.settings.sandbox.names import ImageKind

Kind = Literal["gateway"] | ImageKind


def _nothing(settings: Settings, base: Base) -> dict[str, str]:
    return {}


def _unproved(settings: Settings) -> str:
    return ""


@dataclass(frozen=True)
class Definition:
    """An image: its `tag`, its inputs (`bases`, of which it is built on one, and `arguments` of the
    build), its build `context`, and the `probe` that it must pass before it gets its tag.
    """

    kind: Kind
    tag: Callable[[str], str]
    """By the deployment's name."""
    source: Callable[[Settings], str]
    """The setting that says whether it is ours."""
    bases: Callable[[Settings, Lock], Iterable[Base]]
    """Raises LockError, OSError and UnicodeDecodeError, like `context`."""
    context: Callable[[Settings, Base, Lock], dict[str, str]]
    arguments: Callable[[Settings, Base], dict[str, str]] = _nothing
    probe: Callable[[Settings], str] = _unproved
    files: tuple[str, ...] = ()
    """What its build context may hold beside a Dockerfile."""
    folder: str = ""
    """Of its build context, in the project's `images`."""
    label: str = ""
    """What messages call it."""
    labelled: str = ""
    """What its label `identity.KIND` says."""
    packages_setting: str = ""
    """The setting that names further Debian packages."""
    after: Kind | None = None
    """The image that is built before it, and may be its base."""

    def directory(self, settings: Settings) -> str:
        """Return the directory of the build context on the host."""
        return f"{settings.project_directory}/images/{self.folder}"


def _of_sandboxes(kind: ImageKind, after: ImageKind | None = None) -> Definition:
    return Definition(
        kind,
        tag=partial(names.tag, kind=kind),
        source=partial(contexts.source, kind=kind),
        bases=partial(contexts.bases, kind=kind),
        context=partial(contexts.context, kind=kind),
        probe=partial(probes.script, kind=kind),
        files=contexts.FILES[kind],
        folder=f"sandbox/{kind}",
        label=probes.label(kind),
        labelled="sandbox" if kind == "minimal" else f"sandbox-{kind}",
        packages_setting=f"sandbox.images.{kind}.apt_packages",
        after=after,
    )


GATEWAY = Definition(
    "gateway",
    tag=gateway.tag,
    source=gateway.source,
    bases=gateway.bases,
    context=gateway.context,
    arguments=gateway.arguments,
    files=(gateway.TREE, *gateway.SCRIPTS),
    folder=gateway.FOLDER,
    label="gateway image",
    packages_setting="gateway.apt_packages",
)
MINIMAL = _of_sandboxes("minimal")
COMMON = _of_sandboxes("common", after="minimal")
BROWSER = _of_sandboxes("browser")
IMAGES = (GATEWAY, MINIMAL, COMMON, BROWSER)
"""In the order in which one may be built on another."""
OF_SANDBOXES = (MINIMAL, COMMON, BROWSER)


def wanted(settings: Settings, among: Iterable[Definition] = IMAGES) -> tuple[Definition, ...]:
    """Return which images the settings need."""
    kinds = ("gateway", *names.kinds(settings.sandbox))
    return tuple(one for one in among if one.kind in kinds)


def tagged(deployment: str, tag: str) -> Definition | None:
    """Return the image that has a tag, if it is one of ours."""
    return next((one for one in IMAGES if one.tag(deployment) == tag), None)


def pulled(settings: Settings) -> set[str]:
    """Return the references of the registry images that the images may be built on.

    What cannot be read or resolved is reported by the preflight.
    """
    found: set[str] = set()
    for image in wanted(settings):
        with suppress(LockError, OSError, UnicodeDecodeError):
            bases = image.bases(settings, lockfile.read())
            found |= {base.pinned for base in bases if base.pulled}
    return found


def directories(settings: Settings, images: Iterable[Definition]) -> list[str]:
    """Return the directories of build contexts on the host, those above first."""
    found = [PurePosixPath(image.directory(settings)) for image in images]
    return list(dict.fromkeys(str(path) for one in found for path in (one.parent, one)))


@files.managed_paths
def paths(settings: Settings) -> Iterable[str]:
    images = wanted(settings)
    yield from directories(settings, images)
    for image in images:
        folder = image.directory(settings)
        yield from (f"{folder}/{name}" for name in ("Dockerfile", *image.files))
