"""What the gateway's image should be on the current host, and whether it is that already."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from pyinfra import host, logger

from operations import engine_access
from operations.base import files, snapshot, templates
from operations.engine import stage as engine
from operations.images import identity, state
from operations.images.identity import Base
from operations.images.sharing import groups
from operations.images.sharing.groups import Wish
from operations.images.state import Image
from toolkit import lockfile, releases
from toolkit.lockfile import Release
from toolkit.settings import Settings

OTHER_PROXY = "apt or the login reaches it, by a proxy that the engine does not have"
_CHOICE = "openclaw_base_images"


@dataclass(frozen=True)
class Plan:
    """The image to be: its base, build context, build arguments, and whether the host has it.

    `probe` is the script that a new image must pass before it gets its tag; `unresolved` is a
    release that no lock file holds yet.
    """

    base: Base
    context: dict[str, str] = field(default_factory=dict)
    arguments: dict[str, str] = field(default_factory=dict)
    current: bool = False
    unresolved: Release | None = None
    probe: str = ""

    @property
    def content(self) -> str:
        """The digest of what the image is made from."""
        return identity.inputs(self.context, self.base, self.arguments)

    @property
    def inputs(self) -> str:
        """The digest by which the image is known again: also of what it was probed for."""
        return identity.digest([self.content, self.probe]) if self.probe else self.content


Bases = Callable[[Settings], Iterable[Base]]
_bases: list[Bases] = []


def needed_bases(function: Bases) -> Bases:
    """Register a function that names the bases of the images that the current host has to build."""
    _bases.append(function)
    return function


def bootstrapped_base(settings: Settings) -> Base | None:
    """Return the Debian base that has to be made on the current host; None if no build needs it."""
    needed = (base for function in _bases for base in function(settings))
    return next((base for base in needed if base.bootstrapped and not available(base)), None)


def unreached_sources(settings: Settings) -> str:
    """Return why builds on the current host's own Debian cannot use its apt sources; nothing if
    they can, or if there is no such build.
    """
    if not any(base.bootstrapped for function in _bases for base in function(settings)):
        return ""
    script = templates.render("images/sources.sh.j2", suite=identity.SUITE)
    return snapshot.read_quietly(host, script).strip()


@needed_bases
def gateway_base(settings: Settings) -> Iterable[Base]:
    wanted = plan(settings)
    return () if wanted.current or groups.receives(identity.tag(settings)) else (wanted.base,)


def plan(settings: Settings) -> Plan:
    """Return the plan of the current host.

    An image that is as one of the accepted plans wants it is kept, and a new one is built on the
    same base where the engine still has that: with `base_images: auto` the reachability of a
    registry matters only when a base image is needed that is not there.
    """
    tag = identity.tag(settings)
    there = state.current().tagged(tag)
    return chosen(settings, tag, list(_plans(settings, there)), there)


@groups.shared
def wish(settings: Settings) -> Wish:
    """Return what the current host wants for the gateway."""
    tag = identity.tag(settings)
    there = state.current().tagged(tag)
    return wished(settings, tag, list(_plans(settings, there)), there)


def wished(settings: Settings, tag: str, plans: list[Plan], there: Image | None) -> Wish:
    """Return what a host wants under a tag, of several plans."""
    accepted = tuple(one.inputs for one in plans)
    fits = there if there and _current(plans, there) else None
    return Wish(tag, accepted, fits, lambda: chosen(settings, tag, plans, there).inputs)


def _current(plans: list[Plan], there: Image | None) -> Plan | None:
    for one in plans:
        if there and one.base.digest and there.inputs == one.inputs:
            return one
    return None


def chosen(settings: Settings, tag: str, plans: list[Plan], there: Image | None) -> Plan:
    """Return which of several plans for an image is the current host's; `there` is what it has.

    What the other hosts of the run build or have goes before what this one would build.
    """
    if current := _current(plans, there):
        return replace(current, current=True)
    if len(plans) == 1:
        return plans[0]
    if group := groups.group(tag):
        for candidate in plans:
            if candidate.inputs == group.inputs:
                return candidate
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
    names = ("Dockerfile", identity.TREE, *identity.SCRIPTS)
    return [f"{settings.project_directory}/images", folder, *(f"{folder}/{name}" for name in names)]


def choice(settings: Settings) -> str:
    """Return where base images come from on the current host: `registry` or `bootstrap`.

    Asked once per run, so that what is planned is what is done.
    """
    if settings.base_images != "auto":
        return settings.base_images
    if _CHOICE not in host.connector_data:
        answer = snapshot.run_quietly(host, reachability_script(settings)).strip()
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
    return silent(settings, wanted.base.reference)


def silent(settings: Settings, reference: str) -> tuple[str, str] | None:
    """Return the registry of a reference and why it does not answer; None if it does."""
    answer = snapshot.run_quietly(host, reachability_script(settings, reference)).strip()
    return None if answer == "reachable" else (registry(reference), answer)


def registry(reference: str) -> str:
    """Return the registry's name in a reference: Docker Hub's, if it has none."""
    name, slash, _ = reference.partition("/")
    return name if slash and (re.search("[.:]", name) or name == "localhost") else "docker.io"


def reachability_script(settings: Settings, reference: str | None = None) -> str:
    """Return a script that says `reachable`, or why the engine cannot reach the registry of a
    reference; by default that of base images.
    """
    name = registry(reference or settings.registry)
    addresses = [f"https://{'registry-1.docker.io' if name == 'docker.io' else name}/v2/"]
    if re.match(r"(localhost|127\.\d+\.\d+\.\d+)(:|$)", name):
        addresses.append(f"http://{name}/v2/")  # the engine speaks plain HTTP to loopback
    if name == "docker.io":
        addresses += [f"{mirror.rstrip('/')}/v2/" for mirror in settings.engine.registry_mirrors]
    given = engine.proxies(settings)
    other = (
        engine_access.own_engine(settings)
        or settings.engine.socket not in engine_access.DEFAULT_SOCKETS
    )
    return templates.render(
        "images/reachable.sh.j2",
        addresses=addresses,
        docker=engine_access.environment(settings),
        # Of the host's own engine; another's process is not known.
        pid_file="/dev/null" if other else "/var/run/docker.pid",
        http=given.get("http-proxy", ""),
        https=given.get("https-proxy", ""),
        no=given.get("no-proxy", ""),
        other=OTHER_PROXY,
    )


def registry_fix(why: str) -> str:
    """Return what to do about a registry that does not answer, by the reason."""
    if OTHER_PROXY in why:
        return (
            "give the engine its proxy: set engine.daemon to {proxies: {http-proxy: URL,"
            " https-proxy: URL, no-proxy: NAMES}}"
        )
    return "check the name, the network and the engine's proxies (engine.daemon, key proxies)"


def repository_base(settings: Settings, there: Image | None = None) -> Base:
    """Return the git checkout that the gateway is built from, as a base; its digest is a commit."""
    gateway = settings.gateway
    reference = re.sub(r"://[^/@]*@", "://", f"{gateway.repository}#{gateway.ref}")
    commit = lockfile.read().repositories.get(reference)
    if re.fullmatch(r"[0-9a-f]{40}", gateway.ref):
        commit = gateway.ref
    return adopted(Base(reference, commit), there)


def _plans(settings: Settings, there: Image | None) -> Iterable[Plan]:
    known = lockfile.read()
    if settings.gateway.source == "git":
        base = repository_base(settings, there)
        yield Plan(base, arguments=identity.git_arguments(settings, base.digest or ""))
    elif settings.gateway.source == "image":
        base = adopted(identity.image_base(settings, known), there)
        yield Plan(base, identity.image_context(settings))
    else:
        version = settings.gateway.version
        release = releases.of(version, known)
        unresolved = None if version in known.releases else release
        bases = []
        if settings.base_images != "bootstrap":
            bases.append(adopted(identity.node_base(settings, release, known), there))
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


def adopted(base: Base, there: Image | None) -> Base:
    """Where no lock knows the digest, what the host was built from is what it stays on."""
    if base.digest is None and there and there.base_reference == base.reference:
        return replace(base, digest=there.base_digest)
    return base
