"""The gateway's image: made from npm, from a registry image, or from a git checkout."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace

from pyinfra import host
from pyinfra.api import StringCommand

from operations import packages
from operations.base.operation import operation
from operations.images import identity, scripts, state
from operations.images.identity import Base
from operations.images.planning import Plan, available, bootstrapped_base, plan
from operations.images.sharing import groups, transfer
from toolkit.settings import Settings

MMDEBSTRAP, GIT = "mmdebstrap", "git"
LABEL = "gateway image"


@packages.known
def tools(settings: Settings) -> tuple[str, ...]:
    return (MMDEBSTRAP, GIT)


@operation
def base_made(settings: Settings) -> Generator:
    """Make the Debian base image on the host, if a build needs it and it is not there.

    + settings: the settings of the host
    """
    base = bootstrapped_base(settings)
    if base is None:
        host.noop("no image has to be built on it, or it is there")
    else:
        yield from bootstrap(settings, base)


def bootstrap(settings: Settings, base: Base) -> Generator:
    """Yield the commands that make the Debian base image."""
    if MMDEBSTRAP not in packages.current().versions:
        yield packages.install_command([MMDEBSTRAP])
    yield scripts.run(
        "bootstrap.sh.j2",
        settings,
        directory=f"{settings.project_directory}/images",
        suite=identity.SUITE,
        packages=identity.BASE_PACKAGES,
        dpkg_options=identity.BASE_DPKG_OPTIONS,
        tag=identity.BOOTSTRAPPED,
        labels={identity.INPUTS: base.digest},
        trust=settings.trust_host_cas,
    )


@operation
def built(settings: Settings) -> Generator:
    """Build the gateway's image, if the host has not the one that the settings and the lock want,
    and no other host of the run is to give it.

    + settings: the settings of the host

    The tag moves only when the build is complete. What was resolved on the way (a release, the
    digest of an image, the commit of a branch) is written to the lock beside the inventory.
    """
    tag = identity.tag(settings)
    if image := there(settings):
        groups.note(tag, image)
        host.noop("the image is what the settings and the lock want")
    elif transfer.builds(tag):
        yield from transfer.built([tag], lambda: make(settings), lambda _: there(settings))
    else:
        host.noop("another host of this run has it or builds it")


@operation
def received(settings: Settings) -> Generator:
    """Bring the gateway's image from the host of the run that builds it or has it.

    + settings: the settings of the host

    Where that host fails, another one gives it, or it is built here.
    """
    tag = identity.tag(settings)
    if not groups.group(tag):
        host.noop("no other host of this run wants it")
    elif there(settings) or (not host.state.is_executing and transfer.builds(tag)):
        host.noop("the image is there, or built here")
    else:
        yield from transfer.received(
            settings, tag, lambda: _made(settings), lambda _: there(settings), LABEL
        )


def there(settings: Settings) -> str | None:
    """Return the id of the host's image, if it is as the settings and the lock want it."""
    image = state.current().tagged(identity.tag(settings))
    return image.id if image and plan(settings).current else None


def _made(settings: Settings) -> Generator:
    """Yield the commands that build the image on a host that was to receive it."""
    base = plan(settings).base
    if base.bootstrapped and not available(base):
        yield from bootstrap(settings, base)
    yield from make(settings)


def make(settings: Settings) -> Generator:
    """Yield the commands that build the image."""
    wanted = plan(settings)
    if settings.gateway.source == "git":
        yield from _checkout(settings, wanted.base)
        wanted = plan(settings)
    elif not wanted.base.bootstrapped:
        base = wanted.base
        digest = yield from scripts.pulled(settings, base)
        wanted = replace(wanted, base=replace(base, digest=digest))
    if settings.gateway.source == "npm":
        scripts.record_release(settings.gateway.version, wanted)
    yield build_command(settings, wanted)


def build_command(settings: Settings, wanted: Plan) -> StringCommand:
    """Return the command that builds a plan whose base is known."""
    from_git = settings.gateway.source == "git"
    script = scripts.build(
        settings,
        wanted,
        label=LABEL,
        name="gateway",
        context=state.checkout(settings) if from_git else state.directory(settings),
        tag=identity.tag(settings),
        labels={},
        debian=wanted.base.bootstrapped,
        toolkits=not from_git,
    )
    return StringCommand("sh -s", _stdin=[script])


def _checkout(settings: Settings, base: Base) -> Generator:
    if GIT not in packages.current().versions:
        yield packages.install_command([GIT])
    if base.digest is None or state.current().commit != base.digest:
        gateway = settings.gateway
        yield scripts.run(
            "checkout.sh.j2",
            settings,
            directory=state.checkout(settings),
            repository=gateway.repository,
            protocol=_protocol(gateway.repository or ""),
            shown=base.reference.partition("#")[0],
            ref=gateway.ref,
            commit=base.digest,
            wanted=[name for name in (base.digest, gateway.ref) if name],
        )
    commit = state.current().commit
    if commit and base.reference.partition("#")[2] != commit:
        scripts.record(repositories={base.reference: commit})


def _protocol(repository: str) -> str:
    """Return git's name for the protocol of a repository."""
    scheme, separator, _ = repository.partition("://")
    return scheme if separator else "file" if repository.startswith("/") else "ssh"
