"""The scripts of `templates/images/` that a host runs against its engine."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

from pyinfra import host, logger
from pyinfra.api import StringCommand

from operations import engine_access
from operations.base import templates
from operations.base.quoting import Script
from operations.images import identity, state
from operations.images.identity import Base
from operations.images.planning import Plan, available
from toolkit import lockfile, trees
from toolkit.lockfile import LockError
from toolkit.settings import Settings


def render(script: str, settings: Settings, **variables: object) -> Script:
    """Return the text of a script."""
    return templates.render(
        f"images/{script}",
        socket=engine_access.socket(settings),
        label_name=identity.INPUTS,
        **variables,
    )


def run(script: str, settings: Settings, **variables: object) -> StringCommand:
    """Return the command that runs a script."""
    return StringCommand("sh -s", _stdin=[render(script, settings, **variables)])


def build(
    settings: Settings,
    wanted: Plan,
    *,
    label: str,
    name: str,
    context: str,
    tag: str,
    labels: dict[str, str],
    debian: bool,
    toolkits: bool = True,
    packages_setting: str = "gateway.apt_packages",
    prefix: str = "",
) -> str:
    """Return the script that builds a plan whose base is known.

    + label: the image in messages
    + name: the log's name in the project's `images`
    + context: build context on the host
    + tag: moves when the build is complete and its probe, if it has one, has passed
    + debian: whether the image is made of the Debian that was made on the host
    + toolkits: whether the Dockerfile is the toolkit's: it takes its base and the secrets
    + packages_setting: the setting that names further Debian packages
    + prefix: of the lines that say how far it is, where several builds run at once
    """
    secrets = {
        "npmrc": settings.build.npm_configuration,
        "pip-conf": settings.build.pip_configuration,
    }
    return render(
        "build.sh.j2",
        settings,
        label=label,
        context=context,
        log=f"{settings.project_directory}/images/{name}.log",
        tag=tag,
        probe=wanted.probe,
        labels={**identity.labels(settings, wanted.inputs, wanted.base), **labels},
        arguments={**wanted.arguments, **({"BASE": wanted.base.pinned} if toolkits else {})},
        secrets={key: path for key, path in secrets.items() if path and toolkits},
        trust=settings.trust_host_cas,
        sources=identity.SUITE if debian else None,
        packages_setting=packages_setting,
        prefix=prefix,
    )


def pulled(settings: Settings, base: Base) -> Generator[StringCommand, None, str | None]:
    """Pull a base image if the host has it not; yield the command, return the digest, which is
    recorded in the lock.
    """
    if not available(base):
        yield run("pull.sh.j2", settings, reference=base.pinned)
    digest = base.digest or state.current().digest(base.reference)
    if digest and base.reference.partition("@")[2] != digest:
        record(images={base.reference: digest})
    return digest


def record_release(version: str, wanted: Plan) -> None:
    """Write a release and its dependency tree to the lock, as far as it does not know them."""
    if wanted.unresolved:
        record(releases={version: wanted.unresolved})
    with _tolerated():
        trees.record(version, wanted.context[identity.TREE])


def record(**entries: Any) -> None:
    """Add to the lock what it does not know yet; a directory that cannot be written is no reason
    to fail a host.
    """
    with _tolerated():
        lockfile.add(**entries)


@contextmanager
def _tolerated() -> Iterator[None]:
    try:
        yield
    except LockError as error:
        logger.warning(f"{host.print_prefix}{error}; the next host resolves anew")
