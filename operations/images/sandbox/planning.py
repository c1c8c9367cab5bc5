"""What a host's sandbox images should be, and whether they are that already."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import get_args

from operations.base import files
from operations.images import identity, planning, state
from operations.images.identity import Base
from operations.images.planning import Plan
from operations.images.sandbox import contexts, probes
from operations.images.sharing import groups
from operations.images.sharing.groups import Wish
from operations.images.state import Image
from toolkit import lockfile, releases
from toolkit.lockfile import LockError
from toolkit.settings import Settings
from toolkit.settings.model import Gateway
from toolkit.settings.sandbox import names
from toolkit.settings.sandbox.names import ImageKind

Digests = Mapping[str, str | None]


def plans(settings: Settings, digests: Digests | None = None) -> dict[ImageKind, Plan]:
    """Return the plan of every sandbox image that the settings need on the current host.

    + digests: those of registry images that were pulled in this run, by reference
    """
    return {kind: plan(settings, kind, digests or {}) for kind in names.kinds(settings)}


def plan(settings: Settings, kind: ImageKind, digests: Digests) -> Plan:
    tag = names.tag(settings, kind)
    there = state.current().tagged(tag)
    return planning.chosen(settings, tag, list(_candidates(settings, kind, there, digests)), there)


def wish(settings: Settings, kind: ImageKind) -> Wish | None:
    """Return what the current host wants for an image."""
    if kind not in names.kinds(settings):
        return None
    tag = names.tag(settings, kind)
    there = state.current().tagged(tag)
    return planning.wished(settings, tag, list(_candidates(settings, kind, there, {})), there)


for _kind in get_args(ImageKind):
    groups.shared(partial(wish, kind=_kind))


def missing(settings: Settings, digests: Digests | None = None) -> dict[ImageKind, Plan]:
    """Return the plans of the images that have to be built on the current host."""
    return {kind: wanted for kind, wanted in plans(settings, digests).items() if not wanted.current}


def there(settings: Settings, kind: ImageKind) -> str | None:
    """Return the id of the host's image of a kind, if it is as it is wanted."""
    image = state.current().tagged(names.tag(settings, kind))
    return image.id if image and plan(settings, kind, {}).current else None


def there_as(settings: Settings, tag: str) -> str | None:
    """Return the id of the host's image of a tag, if it is as it is wanted."""
    kind = next(kind for kind in names.kinds(settings) if names.tag(settings, kind) == tag)
    return there(settings, kind)


def on_bootstrapped(settings: Settings, kind: ImageKind, wanted: Mapping[ImageKind, Plan]) -> bool:
    """Return whether an image is made of the Debian that was made on the host."""
    if contexts.image(settings, kind).source != "build":
        return False
    foundation: ImageKind = "minimal" if kind == "common" else kind
    return wanted[foundation].base.bootstrapped


def directory(settings: Settings, kind: ImageKind) -> str:
    """Return the directory of an image's build context on the host."""
    return f"{settings.project_directory}/images/sandbox/{kind}"


def context_files(settings: Settings) -> list[files.File]:
    """Return the build contexts as files of the host."""
    return [
        files.File(f"{directory(settings, kind)}/{name}", text)
        for kind, wanted in plans(settings).items()
        for name, text in wanted.context.items()
    ]


def directories(settings: Settings) -> list[str]:
    """Return the directories of the build contexts."""
    kinds = [directory(settings, kind) for kind in names.kinds(settings)]
    return [f"{settings.project_directory}/images/sandbox", *kinds] if kinds else []


@files.managed_paths
def paths(settings: Settings) -> Iterable[str]:
    found = directories(settings)
    for kind in names.kinds(settings):
        folder = directory(settings, kind)
        found += [f"{folder}/{name}" for name in ("Dockerfile", *contexts.FILES[kind])]
    return found


@planning.needed_bases
def bases(settings: Settings) -> Iterable[Base]:
    return [
        wanted.base
        for kind, wanted in missing(settings).items()
        if not groups.receives(names.tag(settings, kind))
    ]


@state.registry_images
def registry_images(settings: Settings) -> Iterable[str]:
    kinds = names.kinds(settings)
    try:
        known = lockfile.read() if kinds else None
    except LockError:  # the preflight reports it
        return
    for kind in kinds:
        assert known is not None
        chosen = contexts.image(settings, kind)
        if chosen.source == "image" and chosen.image:
            yield contexts.registry_base(chosen.image, known).pinned
        elif chosen.source == "build" and kind != "common" and settings.base_images != "bootstrap":
            yield contexts.debian_base(settings, known).pinned


def _candidates(
    settings: Settings, kind: ImageKind, there: Image | None, digests: Digests
) -> Iterable[Plan]:
    chosen = contexts.image(settings, kind)
    known = lockfile.read()
    probe = probes.script(settings, kind)
    if chosen.source == "image":
        base = _known(contexts.registry_base(chosen.image or "", known), there, digests)
        yield Plan(base, contexts.as_it_is(), probe=probe)
    elif chosen.source == "dockerfile":
        text = Path(chosen.dockerfile or "").read_text(encoding="utf-8")
        text += "" if text.endswith("\n") else "\n"
        yield Plan(contexts.dockerfile_base(text), {"Dockerfile": text}, probe=probe)
    else:
        release = release_of(settings, known)
        for base in _bases(settings, kind, there, digests):
            yield Plan(base, contexts.built(settings, kind, base, release, known), probe=probe)


def _bases(
    settings: Settings, kind: ImageKind, there: Image | None, digests: Digests
) -> Iterable[Base]:
    if kind == "common":
        foundation = plan(settings, "minimal", digests)
        yield Base(names.tag(settings, "minimal"), foundation.content, local=True)
        return
    if settings.base_images != "bootstrap":
        yield _known(contexts.debian_base(settings, lockfile.read()), there, digests)
    if settings.base_images != "registry":
        yield identity.bootstrapped_base()


def release_of(settings: Settings, known: lockfile.Lock) -> lockfile.Release:
    """Return the release whose Node the common image has: the gateway's, where the toolkit knows
    it, else that of the toolkit's default release.
    """
    gateway = settings.gateway
    version = gateway.version if gateway.source == "npm" else Gateway().version
    return releases.of(version, known)


def _known(base: Base, there: Image | None, digests: Digests) -> Base:
    if base.digest is None and digests.get(base.reference):
        return replace(base, digest=digests[base.reference])
    return planning.adopted(base, there)
