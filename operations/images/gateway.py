"""The gateway's image: made from npm, from a registry image, or from a git checkout."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import Any

from pyinfra import host, logger
from pyinfra.api import StringCommand

from operations import access, packages, templates
from operations.images import identity, state
from operations.images.identity import Base
from operations.images.planning import Plan, available, plan
from operations.operation import operation
from toolkit import lock
from toolkit.lock import LockError
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
    wanted = plan(settings)
    if wanted.current:
        host.noop("no image has to be built")
    elif not wanted.base.bootstrapped:
        host.noop("the base image comes from a registry")
    elif available(wanted.base):
        host.noop("the base image is there")
    else:
        if MMDEBSTRAP not in packages.current().versions:
            yield packages.install_command([MMDEBSTRAP])
        yield run(
            "bootstrap.sh.j2",
            settings,
            directory=f"{settings.project_directory}/images",
            suite=identity.SUITE,
            packages=identity.BASE_PACKAGES,
            dpkg_options=identity.BASE_DPKG_OPTIONS,
            tag=identity.BOOTSTRAPPED,
            labels={identity.INPUTS: wanted.base.digest},
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
        if not available(base):
            yield run("pull.sh.j2", settings, reference=base.pinned)
        digest = base.digest or next(iter(state.current().pulled), None)
        if base.reference.partition("@")[2] != digest:
            _record(images={base.reference: digest})
        wanted = replace(wanted, base=replace(base, digest=digest))
    if wanted.unresolved:
        _record(releases={settings.gateway.version: wanted.unresolved})
    yield build_command(settings, wanted)


def build_command(settings: Settings, wanted: Plan) -> StringCommand:
    """Return the command that builds a plan whose base is known."""
    from_git = settings.gateway.source == "git"
    base_argument = {} if from_git else {"BASE": wanted.base.pinned}
    secrets = {
        "npmrc": settings.build.npm_configuration,
        "pip-conf": settings.build.pip_configuration,
    }
    return run(
        "build.sh.j2",
        settings,
        label="gateway image",
        context=state.checkout(settings) if from_git else state.directory(settings),
        log=f"{settings.project_directory}/images/gateway.log",
        tags=[identity.tag(settings)],
        labels=identity.labels(settings, wanted.inputs, wanted.base),
        arguments={**wanted.arguments, **base_argument},
        secrets={} if from_git else {name: path for name, path in secrets.items() if path},
        trust=settings.trust_host_cas,
        sources=identity.SUITE if wanted.base.bootstrapped else None,
    )


def _checkout(settings: Settings, base: Base) -> Generator:
    if GIT not in packages.current().versions:
        yield packages.install_command([GIT])
    if base.digest is None or state.current().commit != base.digest:
        gateway = settings.gateway
        yield run(
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
        _record(repositories={base.reference: state.current().commit})


def run(script: str, settings: Settings, **variables: object) -> StringCommand:
    """Return the command that runs a script of `templates/images/` against the host's engine."""
    text = templates.render(f"images/{script}", socket=access.socket(settings), **variables)
    return StringCommand("sh -s", _stdin=[text])


def _record(**entries: Any) -> None:
    """Write to the lock; a directory that cannot be written is no reason to fail a host."""
    try:
        lock.record(**entries)
    except LockError as error:
        logger.warning(f"{host.print_prefix}{error}; the next host resolves anew")
