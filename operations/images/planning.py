"""What the gateway's image should be on the current host, and whether it is that already."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from pyinfra import host, logger

from operations import files, snapshot, templates
from operations.images import identity, state
from operations.images.identity import Base
from operations.images.state import Image
from toolkit import lock, releases
from toolkit.lock import Release
from toolkit.settings import Settings

_CHOICE = "openclaw_base_images"


@dataclass(frozen=True)
class Plan:
    """The image to be: its base, build context, build arguments, and whether the host has it.

    `unresolved` is a release that no lock file holds yet.
    """

    base: Base
    context: dict[str, str] = field(default_factory=dict)
    arguments: dict[str, str] = field(default_factory=dict)
    current: bool = False
    unresolved: Release | None = None

    @property
    def inputs(self) -> str:
        return identity.inputs(self.context, self.base, self.arguments)


def plan(settings: Settings) -> Plan:
    """Return the plan of the current host.

    An image that is as one of the accepted plans wants it is kept, and a new one is built on the
    same base where the engine still has that: with `base_images: auto` the reachability of a
    registry matters only when a base image is needed that is not there.
    """
    there = state.current().tagged(identity.tag(settings))
    plans = list(_plans(settings, there))
    for candidate in plans:
        if there and candidate.base.digest and there.inputs == candidate.inputs:
            return replace(candidate, current=True)
    if len(plans) == 1:
        return plans[0]
    for candidate in plans:
        if there and there.base == candidate.base.label and available(candidate.base):
            return candidate
    bootstrap = choice(settings) == "bootstrap"
    return next(candidate for candidate in plans if candidate.base.bootstrapped == bootstrap)


def pending(settings: Settings) -> bool:
    """Return whether the gateway's image has to be built on the current host."""
    return not plan(settings).current


def context_files(settings: Settings, wanted: Plan) -> list[files.File]:
    """Return the build context of a plan as files of the host."""
    folder = state.directory(settings)
    return [files.File(f"{folder}/{name}", text) for name, text in wanted.context.items()]


@files.managed_paths
def paths(settings: Settings) -> Iterable[str]:
    folder = state.directory(settings)
    names = ("Dockerfile", *identity.SCRIPTS)
    return [f"{settings.project_directory}/images", folder, *(f"{folder}/{name}" for name in names)]


def choice(settings: Settings) -> str:
    """Return where base images come from on the current host: `registry` or `bootstrap`.

    Asked once per run, so that what is planned is what is done.
    """
    if settings.base_images != "auto":
        return settings.base_images
    if _CHOICE not in host.connector_data:
        answer = snapshot.read_quietly(host, reachability_script(settings)).strip()
        host.connector_data[_CHOICE] = "registry" if answer == "reachable" else "bootstrap"
        said = "can be reached" if answer == "reachable" else f"cannot be reached: {answer}"
        logger.info(
            f"{host.print_prefix}base images: {host.connector_data[_CHOICE]}"
            f" (the registry {settings.registry} {said})"
        )
    return host.connector_data[_CHOICE]


def unreachable(settings: Settings) -> tuple[str, str] | None:
    """Return the registry that a build must ask and why it does not answer; None if all is well.

    With `base_images: auto` no registry has to be asked; what is there is not asked for again.
    """
    image = settings.gateway.source == "image"
    if not image and (settings.gateway.source == "git" or settings.base_images != "registry"):
        return None
    wanted = plan(settings)
    if wanted.current or wanted.base.digest in state.current().pulled:
        return None
    answer = snapshot.read_quietly(host, reachability_script(settings)).strip()
    return None if answer == "reachable" else (registry(settings), answer)


def registry(settings: Settings) -> str:
    """Return the registry's name in the reference that the settings give: Docker Hub's, if none."""
    image = settings.gateway.image if settings.gateway.source == "image" else None
    name, slash, _ = (image or settings.registry).partition("/")
    return name if slash and (re.search("[.:]", name) or name == "localhost") else "docker.io"


def reachability_script(settings: Settings) -> str:
    """Return a script that says `reachable`, or why the registry cannot be reached."""
    name = registry(settings)
    addresses = [f"https://{'registry-1.docker.io' if name == 'docker.io' else name}/v2/"]
    if re.match(r"(localhost|127\.\d+\.\d+\.\d+)(:|$)", name):
        addresses.append(f"http://{name}/v2/")  # the engine speaks plain HTTP to loopback
    if name == "docker.io":
        addresses += [f"{mirror.rstrip('/')}/v2/" for mirror in settings.engine.registry_mirrors]
    return templates.render("images/reachable.sh.j2", addresses=addresses)


def repository_base(settings: Settings, there: Image | None = None) -> Base:
    """Return the git checkout that the gateway is built from, as a base; its digest is a commit."""
    gateway = settings.gateway
    reference = re.sub(r"://[^/@]*@", "://", f"{gateway.repository}#{gateway.ref}")
    commit = lock.read().repositories.get(reference)
    if re.fullmatch(r"[0-9a-f]{40}", gateway.ref):
        commit = gateway.ref
    return _adopted(Base(reference, commit), there)


def _plans(settings: Settings, there: Image | None) -> Iterable[Plan]:
    known = lock.read()
    if settings.gateway.source == "git":
        base = repository_base(settings, there)
        yield Plan(base, arguments=identity.git_arguments(settings, base.digest or ""))
    elif settings.gateway.source == "image":
        base = _adopted(identity.image_base(settings, known), there)
        yield Plan(base, identity.image_context(settings))
    else:
        version = settings.gateway.version
        unresolved = None if version in known.releases else releases.resolve(version)
        release = unresolved or known.releases[version]
        bases = []
        if settings.base_images != "bootstrap":
            bases.append(_adopted(identity.node_base(settings, release, known), there))
        if settings.base_images != "registry":
            bases.append(identity.bootstrapped_base())
        for base in bases:
            context = identity.npm_context(settings, release, base)
            yield Plan(base, context, unresolved=unresolved)


def available(base: Base) -> bool:
    """Return whether the current host's engine has a base image, of the right content."""
    known = state.current()
    if base.bootstrapped:
        image = known.tagged(base.reference)
        return image is not None and image.inputs == base.digest
    return base.digest in known.pulled


def _adopted(base: Base, there: Image | None) -> Base:
    """Where no lock knows the digest, what the host was built from is what it stays on."""
    if base.digest is None and there and there.base_reference == base.reference:
        return replace(base, digest=there.base_digest)
    return base
