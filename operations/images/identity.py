"""The digest of what an image is made from: the same digest means the same image."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from operations import distributions
from operations.base import templates
from toolkit.lockfile import Lock
from toolkit.settings import Settings

LABEL = "openclaw-pyinfra"
INPUTS, BASE, DEPLOYMENT = f"{LABEL}.inputs", f"{LABEL}.base", f"{LABEL}.deployment"
KIND = f"{LABEL}.image"
"""Label of the sandbox images: which of them it is."""

SUITE = distributions.IMAGE_SUITE
BOOTSTRAPPED = f"openclaw-base:{SUITE}"
BASE_PACKAGES = ("ca-certificates",)
BASE_DPKG_OPTIONS = (  # what Debian's own slim images leave out
    *(
        f"path-exclude=/usr/share/{name}/*"
        for name in ("man", "locale", "info", "lintian", "groff")
    ),
    "path-include=/usr/share/locale/locale.alias",
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
)
STEPS = ("packages.sh", "npm.sh", "pip.sh", "tree.mjs")
"""Scripts that the steps of any image run."""


@dataclass(frozen=True)
class Base:
    """A base image: its reference, and what identifies its content (None: not resolved yet).

    `digest` is a registry's digest, or the digest of the inputs of an image made on the host: the
    `bootstrapped` Debian, or one of ours. What is `local` is on the host: the commit of a git
    checkout, a Dockerfile by its digest, one of our images.
    """

    reference: str
    digest: str | None
    bootstrapped: bool = False
    local: bool = False

    @property
    def pulled(self) -> bool:
        """Whether it comes from a registry."""
        return not (self.bootstrapped or self.local)

    @property
    def pinned(self) -> str:
        """What `docker build` takes: the reference by its digest, or the local tag."""
        if not self.pulled or not self.digest:
            return self.reference
        return f"{repository(self.reference)}@{self.digest}"

    @property
    def label(self) -> str:
        return f"{self.reference}@{self.digest}"


def repository(reference: str) -> str:
    """Return a reference without tag and digest."""
    name = reference.partition("@")[0]
    head, slash, last = name.rpartition("/")
    return head + slash + last.partition(":")[0]


def registry_base(reference: str, known: Lock) -> Base:
    """Return a registry image: its digest is the reference's own, or the lock's."""
    return Base(reference, reference.partition("@")[2] or known.images.get(reference))


def bootstrapped_base() -> Base:
    """Return the Debian base image that is made on the host."""
    inputs = [SUITE, BASE_PACKAGES, BASE_DPKG_OPTIONS]
    return Base(BOOTSTRAPPED, digest(inputs), bootstrapped=True)


def inputs(context: dict[str, str], base: Base, arguments: dict[str, str] | None = None) -> str:
    """Return the digest of everything that an image is made from."""
    return _inputs(tuple(context.items()), base.digest, tuple((arguments or {}).items()))


@lru_cache(maxsize=64)
def _inputs(
    context: tuple[tuple[str, str], ...], base: str | None, arguments: tuple[tuple[str, str], ...]
) -> str:
    return digest([dict(context), base, dict(arguments)])


def labels(settings: Settings, digest: str, base: Base) -> dict[str, str]:
    """Return the labels by which an image is known again and pruned."""
    return {INPUTS: digest, BASE: base.label, DEPLOYMENT: settings.name}


def context(folder: str, dockerfile: str, names: Iterable[str]) -> dict[str, str]:
    """Return a build context: the Dockerfile, and of the named files those that it uses; they are
    in `templates/images/FOLDER`, or among the steps of any image.
    """
    used = {
        name: templates.render(f"images/{'steps' if name in STEPS else folder}/{name}")
        for name in names
        if name in dockerfile
    }
    return {"Dockerfile": dockerfile, **used}


def digest(value: Any) -> str:
    """Return the digest of a value that JSON can hold."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
