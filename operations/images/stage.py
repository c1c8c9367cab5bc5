"""The gateway's image: its base, its build, and the removal of what it supersedes.

An image is known again by the digest of everything it is made from (`identity`), kept as a
label; the same digest is not built twice. Other modules use:

- `tag(settings)`: the tag under which the gateway's image runs;
- `pending(settings)`: whether `build` is about to move that tag on the current host;
- `build(settings)` and `prune(settings)`: the deploys.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable

from pyinfra import host
from pyinfra.api.deploy import deploy

from operations.base import files, preflight
from operations.base.answers import printable
from operations.base.operation import operation
from operations.base.preflight import Problem
from operations.base.waits import waiting
from operations.images import gateway, scripts, state
from operations.images.identity import tag
from operations.images.planning import (
    context_files,
    paths,
    pending,
    plan,
    registry_fix,
    unreachable,
    unreached_sources,
)
from operations.images.sharing import groups, registry
from toolkit import lockfile, releases, trees
from toolkit.lockfile import LockError
from toolkit.releases import ReleaseError
from toolkit.settings import Settings

__all__ = ["build", "paths", "pending", "prune", "pruned", "tag"]


@preflight.check
def release_problems(settings: Settings, answers: dict[str, str]) -> Iterable[Problem]:
    try:
        known = lockfile.read()
        version = settings.gateway.version
        if settings.gateway.source == "npm":
            with waiting(f"npm, asked on this machine about OpenClaw {version}"):
                trees.of(version, releases.of(version, known))
    except ReleaseError as error:
        yield Problem(error.what, error.fix)
    except LockError as error:
        yield Problem(str(error), "mend the file, or remove it: what it held is then resolved anew")


@preflight.check
def registry_problems(settings: Settings, answers: dict[str, str]) -> Iterable[Problem]:
    try:
        found = unreachable(settings)
    except LockError:
        return  # named by `release_problems`
    if found:
        name, why = found
        # The engine may know a CA or a plain-text registry that apt's helper does not.
        sure = re.search("resolve|connect|timed out|unreachable|refused", why, re.IGNORECASE)
        yield Problem(
            f"the registry {name} does not answer: {why}",
            registry_fix(why)
            + ("" if settings.gateway.source == "image" else ", or use base_images: bootstrap"),
            stops=bool(sure),
        )


@preflight.check
def source_problems(settings: Settings, answers: dict[str, str]) -> Iterable[Problem]:
    try:
        said = unreached_sources(settings)
    except (LockError, ReleaseError):
        return  # named by `release_problems`
    if said:
        yield Problem(
            printable(said, 400),
            "add a source of Debian over http or https to the host's (a list of mirrors may be"
            " a file, if it names one), or use base_images: registry",
        )


@deploy("Images")
def build(settings: Settings) -> None:
    """Build what the gateway runs; nothing that runs is touched."""
    groups.arrange()
    wanted = plan(settings)
    files.directories(
        name="Create the directories of the build contexts",
        paths=[f"{settings.project_directory}/images", state.directory(settings)],
    )
    files.write(name="Write the gateway's build context", files=context_files(settings, wanted))
    registry.installed(name="Install a registry for the images", settings=settings)
    gateway.base_made(name="Make the Debian base image", settings=settings)
    gateway.built(name="Build the gateway image", settings=settings)
    gateway.received(name="Receive the gateway image", settings=settings)


@operation
def pruned(settings: Settings) -> Generator:
    """Remove the deployment's images that nothing needs any more.

    + settings: the settings of the host

    Images with a tag (what runs, and the last good one for a rollback) and images of any
    container stay. Call it after the new gateway has proved healthy.
    """
    there = state.current()
    old = there.superseded(settings.name)
    supersedes = not host.state.is_executing and there.tagged(tag(settings)) and pending(settings)
    if not old and not supersedes:
        host.noop("no image is superseded")
        return
    yield scripts.run("prune.sh.j2", settings, **state.removal(there, old))


@deploy("Superseded images")
def prune(settings: Settings) -> None:
    """Remove superseded images; to be called after a healthy start."""
    pruned(name="Remove superseded images", settings=settings)
