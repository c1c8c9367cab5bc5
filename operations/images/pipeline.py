"""The images on a host: built there or received, each the same way, and removed when superseded.

An image is known again by the digest of everything it is made from and of what it was probed for,
kept as a label; the same digest is not built twice. Its tag moves when its build is complete and
its probe has passed; until then the old one stays in use.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterable
from functools import partial

from pyinfra import host
from pyinfra.api import StringCommand

from operations import packages
from operations.base import snapshot
from operations.base.operation import operation
from operations.distributions import IMAGE_KEYRING
from operations.images import building, definitions, identity, planning, scripts, state
from operations.images.definitions import Definition
from operations.images.identity import Base
from operations.images.sharing import groups, transfer
from operations.images.state import Images
from operations.packages import Packages
from toolkit.settings import Settings

BOOTSTRAP = ("mmdebstrap", IMAGE_KEYRING)
"""What makes a Debian on a host, and whose packages it believes."""


@packages.known
def tools(settings: Settings) -> tuple[str, ...]:
    return BOOTSTRAP


@operation
def base_made(settings: Settings) -> Generator:
    """Make the Debian base image on the host, if a build needs it and it is not there.

    + settings: the settings of the host
    """
    base = planning.bootstrapped_base(settings)
    if base is None:
        host.noop("no image has to be built on it, or it is there")
    else:
        yield from _bootstrapped(settings, base)


@operation
def built(settings: Settings, images: Collection[Definition]) -> Generator:
    """Build the images that the host has not as the settings and the lock want them, and that no
    other host of the run is to give it.

    + settings: the settings of the host
    + images: which ones

    Independent images are built at the same time. An image that does not pass its probe is
    removed again, and the operation fails with the image, the tool and what it said. What was
    resolved on the way (a release, the digest of an image, the commit of a branch) is written to
    the lock beside the inventory.
    """
    wanted = definitions.wanted(settings, images)
    missing = planning.missing(settings, wanted)
    for image in wanted:
        if image not in missing:
            groups.note(image.tag(settings.name), planning.there(settings, image))
    chosen = [image for image in missing if transfer.builds(image.tag(settings.name))]
    if not chosen:
        host.noop("the images are as the settings and the lock want them, or another host has them")
        return
    # One that is built on another is built on that of its own host.
    below = {image.after for image in chosen}
    chosen = [image for image in missing if image in chosen or image.kind in below]
    yield from transfer.built(
        [image.tag(settings.name) for image in chosen],
        lambda: building.made(settings, chosen),
        partial(_there, settings),
    )


@operation
def received(settings: Settings, images: Collection[Definition]) -> Generator:
    """Bring the images from the hosts of the run that build or have them.

    + settings: the settings of the host
    + images: which ones

    Each passes its probe here, too: this is another engine on another kernel. Where the giving
    host fails, another one gives it, or it is built here.
    """
    wanted = definitions.wanted(settings, images)
    shared = [image for image in wanted if groups.group(image.tag(settings.name))]
    missing = planning.missing(settings, shared)
    coming = {image: plan for image, plan in missing.items() if _comes(settings, image)}
    if not coming:
        host.noop("the images are there, or built here")
    for image, plan in coming.items():
        yield from transfer.received(
            settings,
            image.tag(settings.name),
            partial(_made_alone, settings, image),
            partial(_there, settings),
            image.label,
            plan.probe,
        )


@operation
def pruned(settings: Settings, images: Collection[Definition]) -> Generator:
    """Remove the deployment's images that nothing needs any more.

    + settings: the settings of the host
    + images: which ones

    Images with a tag (what runs, and the last good one for a rollback) and images of any
    container stay. Call it after the new gateway has proved healthy.
    """
    wanted = definitions.wanted(settings, images)
    if not wanted:
        host.noop("the settings want no such image")
        return
    there = snapshot.of(Images)
    old = list(there.superseded(settings.name, [image.labelled for image in images]))
    if not host.state.is_executing:
        old += _about_to_be_superseded(settings, wanted)
    if not old:
        host.noop("no image is superseded, or a container still uses it")
        return
    yield scripts.run("prune.sh.j2", settings, **state.removal(there, old))


def _comes(settings: Settings, image: Definition) -> bool:
    """Return whether a missing image comes from another host, or has to now."""
    return host.state.is_executing or not transfer.builds(image.tag(settings.name))


def _there(settings: Settings, tag: str) -> str | None:
    """Return the id of the host's image of a tag, if it is as it is wanted."""
    image = definitions.tagged(settings.name, tag)
    return planning.there(settings, image) if image else None


def _made_alone(settings: Settings, image: Definition) -> Generator:
    """Yield the commands that build an image on a host that was to receive it."""
    base = planning.plan(settings, image).base
    if base.bootstrapped and not state.available(base):
        yield from _bootstrapped(settings, base)
    yield from building.made(settings, [image])


def _bootstrapped(settings: Settings, base: Base) -> Generator[StringCommand, None, None]:
    """Yield the commands that make the Debian base image."""
    there = snapshot.of(Packages).versions
    if missing := [name for name in BOOTSTRAP if name not in there]:
        yield packages.install_command(missing)
    yield scripts.run(
        "bootstrap.sh.j2",
        settings,
        directory=f"{settings.project_directory}/images",
        suite=identity.SUITE,
        mirrors=settings.debian_mirrors,
        packages=identity.BASE_PACKAGES,
        dpkg_options=identity.BASE_DPKG_OPTIONS,
        tag=identity.BOOTSTRAPPED,
        labels={identity.INPUTS: base.digest},
        trust=settings.trust_host_cas,
    )


def _about_to_be_superseded(
    settings: Settings, images: Iterable[Definition]
) -> Iterable[state.Image]:
    """Yield the images that lose their tag in this run; sandboxes keep theirs, the gateway's
    container is made anew.
    """
    there = snapshot.of(Images)
    for image in planning.missing(settings, images):
        found = there.tagged(image.tag(settings.name))
        if image is definitions.GATEWAY:
            # What runs is kept to go back to.
            kept = found is not None and f"{settings.name}:last-good" in found.tags
        else:
            kept = found is not None and found.id in there.used
        if found and not kept:
            yield found
