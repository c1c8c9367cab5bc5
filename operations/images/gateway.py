"""The gateway's image: made from npm, from a registry image, or from a git checkout."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace

from pyinfra import host
from pyinfra.api import StringCommand

from operations import packages
from operations.images import identity, scripts, state
from operations.images.identity import Base
from operations.images.planning import Plan, bootstrapped_base, plan
from operations.operation import operation
from toolkit.settings import Settings

MMDEBSTRAP, GIT = "mmdebstrap", "git"


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
    """Build the gateway's image, if the host has not the one that the settings and the lock want.

    + settings: the settings of the host

    The tag moves only when the build is complete. What was resolved on the way (a release, the
    digest of an image, the commit of a branch) is written to the lock beside the inventory.
    """
    wanted = plan(settings)
    if wanted.current:
        host.noop("the image is what the settings and the lock want")
        return
    if settings.gateway.source == "git":
        yield from _checkout(settings, wanted.base)
        wanted = plan(settings)
    elif not wanted.base.bootstrapped:
        base = wanted.base
        digest = yield from scripts.pulled(settings, base)
        wanted = replace(wanted, base=replace(base, digest=digest))
    if wanted.unresolved:
        scripts.record(releases={settings.gateway.version: wanted.unresolved})
    yield build_command(settings, wanted)


def build_command(settings: Settings, wanted: Plan) -> StringCommand:
    """Return the command that builds a plan whose base is known."""
    from_git = settings.gateway.source == "git"
    script = scripts.build(
        settings,
        wanted,
        label="gateway image",
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
            shown=base.reference.partition("#")[0],
            ref=gateway.ref,
            commit=base.digest,
            wanted=[name for name in (base.digest, gateway.ref) if name],
        )
    if base.reference.partition("#")[2] != state.current().commit:
        scripts.record(repositories={base.reference: state.current().commit})
