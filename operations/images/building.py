"""The builds of images on a host: their bases are fetched, then all are built at once."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from pyinfra.api import StringCommand

from operations import packages
from operations.base import snapshot
from operations.base.quoting import Script
from operations.images import definitions, gateway, identity, planning, scripts, state
from operations.images.definitions import Definition
from operations.images.identity import Base
from operations.images.planning import Plan, Plans
from operations.images.state import Images
from operations.packages import Packages
from toolkit import lockfile, trees
from toolkit.settings import Settings

GIT = "git"


@packages.known
def tools(settings: Settings) -> tuple[str, ...]:
    return (GIT,)


def made(settings: Settings, images: Sequence[Definition]) -> Generator:
    """Yield the commands that build images whose own Debian base, if they need it, is there."""
    digests: dict[str, str | None] = {}
    for image, plan in planning.missing(settings, images).items():
        base = plan.base
        if image.source(settings) == "git":
            digests[base.reference] = yield from _checked_out(settings, base)
        elif base.pulled and base.reference not in digests:
            digests[base.reference] = yield from _pulled(settings, base)
    _record_release(settings, images)
    yield command(settings, planning.plans(settings, images, digests))


def command(settings: Settings, plans: Plans) -> StringCommand:
    """Return the command that builds plans whose bases are known, all at the same time that are not
    built one after another.
    """
    chains: dict[str, list[Script]] = {}
    for image, plan in plans.items():
        chains.setdefault(image.after or image.kind, []).append(_script(settings, image, plan))
    if [*plans] == [definitions.GATEWAY]:
        ((script,),) = chains.values()
        return StringCommand("sh -s", _stdin=[script])
    return scripts.run("parallel.sh.j2", settings, chains=list(chains.values()))


def _script(settings: Settings, image: Definition, plan: Plan) -> Script:
    source = image.source(settings)
    ours = source not in ("git", "dockerfile")
    label = {identity.KIND: image.labelled} if image.labelled else {}
    secrets = {
        "npmrc": settings.build.npm_configuration,
        "pip-conf": settings.build.pip_configuration,
    }
    return scripts.render(
        "build.sh.j2",
        settings,
        label=image.label,
        context=gateway.checkout(settings) if source == "git" else image.directory(settings),
        log=f"{settings.project_directory}/images/{image.folder.replace('/', '-')}.log",
        tag=image.tag(settings.name),
        probe=plan.probe,
        labels={**identity.labels(settings, plan.inputs, plan.base), **label},
        # Only a Dockerfile of the toolkit's takes its base and the secrets.
        arguments={**plan.arguments, **({"BASE": plan.base.pinned} if ours else {})},
        secrets={key: path for key, path in secrets.items() if path and ours},
        trust=settings.trust_host_cas,
        sources=identity.SUITE if plan.debian else None,
        mirrors=settings.debian_mirrors,
        packages_setting=image.packages_setting,
        prefix="" if image is definitions.GATEWAY else image.kind,
    )


def _pulled(settings: Settings, base: Base) -> Generator[StringCommand, None, str | None]:
    """Pull a base image if the host has it not; yield the command, return the digest, which is
    recorded in the lock.
    """
    if not state.available(base):
        yield scripts.run("pull.sh.j2", settings, reference=base.pinned)
    digest = base.digest or snapshot.of(Images).digest(base.reference)
    if digest and base.reference.partition("@")[2] != digest:
        scripts.record(images={base.reference: digest})
    return digest


def _checked_out(settings: Settings, base: Base) -> Generator[StringCommand, None, str | None]:
    """Check a repository out; yield the commands, return the commit, which is recorded in the
    lock.
    """
    if GIT not in snapshot.of(Packages).versions:
        yield packages.install_command([GIT])
    if base.digest is None or snapshot.of(Images).commit != base.digest:
        wanted = settings.gateway
        yield scripts.run(
            "checkout.sh.j2",
            settings,
            directory=gateway.checkout(settings),
            repository=wanted.repository,
            protocol=_protocol(wanted.repository or ""),
            shown=base.reference.partition("#")[0],
            ref=wanted.ref,
            commit=base.digest,
            wanted=[name for name in (base.digest, wanted.ref) if name],
        )
    commit = snapshot.of(Images).commit
    if commit and base.reference.partition("#")[2] != commit:
        scripts.record(repositories={base.reference: commit})
    return commit


def _protocol(repository: str) -> str:
    """Return git's name for the protocol of a repository."""
    scheme, separator, _ = repository.partition("://")
    return scheme if separator else "file" if repository.startswith("/") else "ssh"


def _record_release(settings: Settings, images: Sequence[Definition]) -> None:
    """Write the gateway's release, and the dependency tree that its image has, to the lock, as far
    as it does not know them.
    """
    concerned = {definitions.GATEWAY, definitions.COMMON}.intersection(images)
    if settings.gateway.source != "npm" or not concerned:
        return
    known, version = lockfile.read(), settings.gateway.version
    release = gateway.release(settings, known)
    if version not in known.releases:
        scripts.record(releases={version: release})
    if definitions.GATEWAY in images:
        with scripts.tolerated():
            trees.record(version, trees.of(version, release))
