"""What the images should be on the current host, and whether they are that already."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from pyinfra import host

from operations.base import files, snapshot, templates
from operations.images import definitions, identity, reachability, state
from operations.images.definitions import Definition
from operations.images.identity import Base
from operations.images.sharing import groups
from operations.images.sharing.groups import Wish
from operations.images.state import Image, Images
from toolkit import lockfile
from toolkit.settings import Settings

Digests = Mapping[str, str | None]
"""Of bases that were fetched in this run, by reference."""
Plans = dict[Definition, "Plan"]


@dataclass(frozen=True)
class Plan:
    """The image to be: its base, build context, build arguments, and whether the host has it.

    `probe` is the script that a new image must pass before it gets its tag; `debian` says whether
    it is made of the Debian that was made on the host.
    """

    base: Base
    context: dict[str, str] = field(default_factory=dict)
    arguments: dict[str, str] = field(default_factory=dict)
    current: bool = False
    probe: str = ""
    debian: bool = False

    @property
    def content(self) -> str:
        """The digest of what the image is made from."""
        return identity.inputs(self.context, self.base, self.arguments)

    @property
    def inputs(self) -> str:
        """The digest by which the image is known again: also of what it was probed for."""
        return identity.digest([self.content, self.probe]) if self.probe else self.content


def plan(settings: Settings, image: Definition, digests: Digests | None = None) -> Plan:
    """Return the plan of the current host for an image.

    An image that is as one of the accepted plans wants it is kept, and a new one is built on the
    same base where the engine still has that: with `base_images: auto` the reachability of a
    registry matters only when a base image is needed that is not there.
    """
    tag = image.tag(settings.name)
    there = snapshot.of(Images).tagged(tag)
    accepted = _accepted(settings, image, there, digests or {})
    return _chosen(tag, accepted, there) or _made_by(reachability.choice(settings), accepted)


def plans(
    settings: Settings, images: Iterable[Definition], digests: Digests | None = None
) -> Plans:
    """Return the plans of the current host for several images."""
    return {image: plan(settings, image, digests) for image in images}


def missing(settings: Settings, images: Iterable[Definition]) -> Plans:
    """Return the plans of those images that have to be built on the current host."""
    return {image: one for image, one in plans(settings, images).items() if not one.current}


def pending(settings: Settings, image: Definition = definitions.GATEWAY) -> bool:
    """Return whether an image has to be built on the current host."""
    return not plan(settings, image).current


def there(settings: Settings, image: Definition) -> str | None:
    """Return the id of the host's image, if it is as the settings and the lock want it."""
    found = snapshot.of(Images).tagged(image.tag(settings.name))
    return found.id if found and plan(settings, image).current else None


def arrange() -> None:
    """Say which hosts of the run share which image, once; what an image is built on comes first."""
    groups.arrange([partial(wish, image=image) for image in definitions.IMAGES])


def wish(settings: Settings, image: Definition) -> Wish | None:
    """Return what the current host wants of an image."""
    if image not in definitions.wanted(settings):
        return None
    tag = image.tag(settings.name)
    there = snapshot.of(Images).tagged(tag)
    accepted = _accepted(settings, image, there, {})
    return Wish(
        tag,
        tuple(one.inputs for one in accepted),
        there if _current(accepted, there) else None,
        lambda: (
            (
                _chosen(tag, accepted, there) or _made_by(reachability.choice(settings), accepted)
            ).inputs
        ),
    )


def bootstrapped_base(settings: Settings) -> Base | None:
    """Return the Debian base that has to be made on the current host; None if no build needs it."""
    needed = (base for base in _needed_bases(settings) if base.bootstrapped)
    return next((base for base in needed if not state.available(base)), None)


def unreached_sources(settings: Settings) -> str:
    """Return why builds on a Debian that is made on the current host reach no source of Debian's
    packages; nothing if they do, or if there is no such build.
    """
    if not any(base.bootstrapped for base in _needed_bases(settings)):
        return ""
    script = templates.render(
        "images/sources.sh.j2", suite=identity.SUITE, mirrors=settings.debian_mirrors
    )
    return snapshot.read_quietly(host, script).strip()


def context_files(settings: Settings, images: Iterable[Definition]) -> list[files.File]:
    """Return the build contexts of images as files of the host."""
    return [
        files.File(f"{image.directory(settings)}/{name}", text)
        for image, wanted in plans(settings, images).items()
        for name, text in wanted.context.items()
    ]


def _needed_bases(settings: Settings) -> Iterable[Base]:
    """Yield the bases of the images that the current host has to build by itself."""
    for image in definitions.wanted(settings):
        wanted = plan(settings, image)
        if not (wanted.current or groups.receives(image.tag(settings.name))):
            yield wanted.base


def _accepted(
    settings: Settings, image: Definition, there: Image | None, digests: Digests
) -> list[Plan]:
    """Return the plans of which any will do; `there` is the image that the host has."""
    known, probe = lockfile.read(), image.probe(settings)
    found = []
    for base in image.bases(settings, known):
        below = definitions.tagged(settings.name, base.reference) if base.local else None
        ground = plan(settings, below, digests) if below else None
        base = _resolved(base, ground, there, digests)
        context = image.context(settings, base, known)
        debian = ground.debian if ground else base.bootstrapped
        arguments = image.arguments(settings, base)
        found.append(Plan(base, context, arguments, probe=probe, debian=debian))
    return found


def _resolved(base: Base, ground: Plan | None, there: Image | None, digests: Digests) -> Base:
    """Return a base with what its content is known by, as far as it is: where no lock knows it,
    what the host was built from is what it stays on.

    + ground: the plan of the base, if it is one of our images
    """
    if base.digest:
        return base
    if ground:
        return replace(base, digest=ground.content)
    digest = digests.get(base.reference)
    if not digest and there and there.base_reference == base.reference:
        digest = there.base_digest
    return replace(base, digest=digest or None)


def _current(accepted: Iterable[Plan], there: Image | None) -> Plan | None:
    for one in accepted:
        if there and one.base.digest and there.inputs == one.inputs:
            return one
    return None


def _chosen(tag: str, accepted: list[Plan], there: Image | None) -> Plan | None:
    """Return which of several plans is the current host's; None if `reachability` decides.

    What the other hosts of the run build or have goes before what this one would build.
    """
    if current := _current(accepted, there):
        return replace(current, current=True)
    if len(accepted) == 1:
        return accepted[0]
    if group := groups.group(tag):
        for candidate in accepted:
            if candidate.inputs == group.inputs:
                return candidate
    for candidate in accepted:
        if there and there.base == candidate.base.label and state.available(candidate.base):
            return candidate
    return None


def _made_by(choice: str, accepted: list[Plan]) -> Plan:
    bootstrap = choice == "bootstrap"
    return next(candidate for candidate in accepted if candidate.base.bootstrapped == bootstrap)
