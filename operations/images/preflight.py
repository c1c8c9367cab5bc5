"""What can keep images from being built on a host, found before it is touched."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from operations.base import preflight, snapshot
from operations.base.answers import printable
from operations.base.preflight import Problem
from operations.base.waits import waiting
from operations.images import definitions, planning, reachability, state
from operations.images.definitions import Definition
from operations.images.sandbox import contexts
from operations.system import System, release_of
from toolkit import lockfile, releases, trees
from toolkit.lockfile import LockError
from toolkit.releases import ReleaseError
from toolkit.settings import Settings
from toolkit.settings.sandbox import names

UNREADABLE = (LockError, OSError, UnicodeDecodeError)
"""Why images cannot be planned; `release_problems` and `dockerfile_problems` name it."""


@preflight.check
def release_problems(settings: Settings) -> Iterable[Problem]:
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
def dockerfile_problems(settings: Settings) -> Iterable[Problem]:
    for kind in names.kinds(settings.sandbox):
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


@preflight.check
def registry_problems(settings: Settings) -> Iterable[Problem]:
    """Ask the registries that a build must ask; with `base_images: auto` it need not ask any."""
    asked = set()
    for image in definitions.wanted(settings):
        own = image.source(settings) == "image"
        if not own and settings.base_images != "registry":
            continue
        try:
            wanted = planning.plan(settings, image)
        except UNREADABLE:
            continue
        base = wanted.base
        if base.pulled and not (wanted.current or state.available(base)):
            if base.reference not in asked:
                yield from _silent(settings, image, base.reference, own)
            asked.add(base.reference)


def _silent(settings: Settings, image: Definition, reference: str, own: bool) -> Iterable[Problem]:
    found = reachability.silent(settings, reference)
    if found:
        name, why = found
        of_gateway = image is definitions.GATEWAY
        which = "" if of_gateway else f" (image {reference})"
        otherwise = ", or use base_images: bootstrap" if of_gateway and not own else ""
        # The engine may know a CA or a plain-text registry that apt's helper does not.
        sure = re.search("resolve|connect|timed out|unreachable|refused", why, re.IGNORECASE)
        yield Problem(
            f"the registry {name}{which} does not answer: {why}",
            reachability.registry_fix(why) + otherwise,
            stops=bool(sure),
        )


@preflight.check
def source_problems(settings: Settings) -> Iterable[Problem]:
    if release_of(snapshot.of(System)) is None:
        return
    try:
        said = planning.unreached_sources(settings)
    except UNREADABLE:
        return
    if said:
        yield Problem(
            printable(said, 400),
            "name mirrors of Debian that the host reaches in debian_mirrors, or use"
            " base_images: registry; on a Debian, a source over http or https among the host's does"
            " (a list of mirrors may be a file, if it names one)",
        )
