"""The images of the sandboxes: their builds, each proved in the container in which it will run, and
the removal of what they supersede.

An image is known again by the digest of what it is made from and of what it was probed for, kept
as a label. Its tag moves when its probe has passed; until then the old one stays in use.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Sequence
from functools import partial
from pathlib import Path

from pyinfra import host
from pyinfra.api import StringCommand
from pyinfra.api.deploy import deploy

from operations.base import files, preflight
from operations.base.operation import operation
from operations.base.preflight import Problem
from operations.images import gateway, identity, scripts, state
from operations.images import planning as base_planning
from operations.images.planning import Plan
from operations.images.sandbox import contexts, planning, probes
from operations.images.sharing import groups, transfer
from toolkit import lockfile
from toolkit.lockfile import LockError
from toolkit.settings import Settings
from toolkit.settings.sandbox import names
from toolkit.settings.sandbox.names import ImageKind

__all__ = ["build", "built", "pending", "prune", "pruned", "received"]


@preflight.check
def image_problems(settings: Settings, answers: dict[str, str]) -> Iterable[Problem]:
    for kind in names.kinds(settings):
        chosen = contexts.image(settings, kind)
        if chosen.source == "dockerfile":
            try:
                Path(chosen.dockerfile or "").read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                yield Problem(
                    f"sandbox.images.{kind}.dockerfile: given {chosen.dockerfile}:"
                    f" {getattr(error, 'strerror', 'not a text')} on this machine",
                    "accepted: the path of a readable Dockerfile on the control machine",
                )
                return
    try:
        wanted = planning.missing(settings)
    except LockError:
        return  # named by the gateway's image
    asked = {
        plan.base.reference: plan
        for kind, plan in wanted.items()
        if not (plan.base.local or plan.base.bootstrapped)
        and not base_planning.available(plan.base)
        and (contexts.image(settings, kind).source == "image" or settings.base_images != "auto")
    }
    for reference in asked:
        silent = base_planning.silent(settings, reference)
        if silent:
            name, why = silent
            sure = re.search("resolve|connect|timed out|unreachable|refused", why, re.IGNORECASE)
            yield Problem(
                f"the registry {name} (image {reference}) does not answer: {why}",
                base_planning.registry_fix(why),
                stops=bool(sure),
            )


@operation
def built(settings: Settings) -> Generator:
    """Build the sandbox images that the host has not as the settings and the lock want them, and
    that no other host of the run is to give it.

    + settings: the settings of the host

    Independent images are built at the same time. An image that does not pass its probe is
    removed again, and the operation fails with the image, the tool and what it said.
    """
    wanted = planning.missing(settings)
    for kind in names.kinds(settings):
        groups.note(names.tag(settings, kind), planning.there(settings, kind))
    kinds = [kind for kind in wanted if transfer.builds(names.tag(settings, kind))]
    if not kinds:
        host.noop("the images are what the settings want, or come from another host of this run")
        return
    if "common" in kinds and "minimal" in wanted and "minimal" not in kinds:
        kinds.insert(0, "minimal")  # it is built on the one of its own host
    yield from transfer.built(
        [names.tag(settings, kind) for kind in kinds],
        lambda: _make(settings, kinds),
        lambda tag: planning.there_as(settings, tag),
    )


@operation
def received(settings: Settings) -> Generator:
    """Bring the sandbox images from the hosts of the run that build or have them.

    + settings: the settings of the host

    Each passes its probe here, too: this is another engine on another kernel.
    """
    wanted = {
        kind: plan for kind, plan in planning.missing(settings).items() if _comes(settings, kind)
    }
    if not wanted:
        host.noop("the images are there, or built here")
    for kind, plan in wanted.items():
        yield from transfer.received(
            settings,
            names.tag(settings, kind),
            partial(_made, settings, kind),
            lambda tag: planning.there_as(settings, tag),
            probes.label(kind),
            plan.probe,
        )


def _comes(settings: Settings, kind: ImageKind) -> bool:
    """Return whether a missing image comes from another host, or has to now."""
    tag = names.tag(settings, kind)
    return bool(groups.group(tag)) and (host.state.is_executing or not transfer.builds(tag))


def _made(settings: Settings, kind: ImageKind) -> Generator:
    """Yield the commands that build an image on a host that was to receive it."""
    base = planning.plans(settings)[kind].base
    if base.bootstrapped and not base_planning.available(base):
        yield from gateway.bootstrap(settings, base)
    yield from _make(settings, [kind])


def _make(settings: Settings, kinds: Sequence[ImageKind]) -> Generator:
    """Yield the commands that build images."""
    digests: dict[str, str | None] = {}
    for kind, plan in planning.missing(settings).items():
        base = plan.base
        if kind in kinds and not (base.bootstrapped or base.local or base.reference in digests):
            digests[base.reference] = yield from scripts.pulled(settings, base)
    _record_release(settings)
    yield build_command(settings, planning.plans(settings, digests), kinds)


def build_command(
    settings: Settings, wanted: dict[ImageKind, Plan], kinds: Sequence[ImageKind]
) -> StringCommand:
    """Return the command that builds some of all plans, their bases known."""
    parts = {
        kind: scripts.build(
            settings,
            plan,
            label=probes.label(kind),
            name=f"sandbox-{kind}",
            context=planning.directory(settings, kind),
            tag=names.tag(settings, kind),
            labels={identity.KIND: "sandbox" if kind == "minimal" else f"sandbox-{kind}"},
            debian=planning.on_bootstrapped(settings, kind, wanted),
            toolkits=contexts.image(settings, kind).source != "dockerfile",
            packages_setting=f"sandbox.images.{kind}.apt_packages",
            prefix=kind,
        )
        for kind, plan in wanted.items()
        if kind in kinds
    }
    grounded = [parts[kind] for kind in ("minimal", "common") if kind in parts]
    apart = [parts["browser"]] if "browser" in parts else []
    chains = [chain for chain in (grounded, apart) if chain]
    return scripts.run("parallel.sh.j2", settings, chains=chains)


@operation
def pruned(settings: Settings) -> Generator:
    """Remove the deployment's sandbox images that neither a tag nor a container names any more.

    + settings: the settings of the host
    """
    if not settings.sandbox.enabled:
        host.noop("sandboxes are off")
        return
    there = state.current()
    old = list(there.superseded(settings.name, sandbox=True))
    if not host.state.is_executing:
        old += [image for image in _about_to_be_superseded(settings) if image not in old]
    if not old:
        host.noop("no sandbox image is superseded, or a container still uses it")
        return
    yield scripts.run("prune.sh.j2", settings, **state.removal(there, old))


@deploy("Sandbox images")
def build(settings: Settings) -> None:
    """Build what the sandboxes run; nothing that runs is touched."""
    groups.arrange()
    files.directories(
        name="Create the directories of the sandbox images' build contexts",
        paths=planning.directories(settings),
    )
    files.write(
        name="Write the sandbox images' build contexts", files=planning.context_files(settings)
    )
    built(name="Build the sandbox images", settings=settings)
    received(name="Receive the sandbox images", settings=settings)


@deploy("Superseded sandbox images")
def prune(settings: Settings) -> None:
    """Remove superseded sandbox images."""
    pruned(name="Remove superseded sandbox images", settings=settings)


def pending(settings: Settings) -> tuple[ImageKind, ...]:
    """Return the sandbox images that `build` is about to replace on the current host."""
    return tuple(planning.missing(settings))


def _about_to_be_superseded(settings: Settings) -> Iterable[state.Image]:
    there = state.current()
    for kind in planning.missing(settings):
        image = there.tagged(names.tag(settings, kind))
        if image and image.id not in there.used:
            yield image


def _record_release(settings: Settings) -> None:
    """Keep the release whose Node the common image has, if no lock knows it yet."""
    if "common" not in names.kinds(settings) or settings.gateway.source != "npm":
        return
    known, version = lockfile.read(), settings.gateway.version
    if version not in known.releases:
        scripts.record(releases={version: planning.release_of(settings, known)})
