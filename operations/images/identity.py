"""What an image is made from, and the digest of it: the same digest means the same image.

Pure: from the settings and the lock to build contexts, tags, labels and digests.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from operations import packages
from operations.base import templates
from toolkit import trees
from toolkit.lockfile import Lock, Release
from toolkit.settings import Settings
from toolkit.settings.sandbox import names

LABEL = "openclaw-pyinfra"
INPUTS, BASE, DEPLOYMENT = f"{LABEL}.inputs", f"{LABEL}.base", f"{LABEL}.deployment"
KIND = f"{LABEL}.image"
"""Label of the sandbox images: which of them it is."""

SUITE = packages.IMAGE_SUITE
"""Debian's release in OpenClaw's own image (its documentation, install/docker)."""
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
RUNTIME_PACKAGES = (
    "ca-certificates",
    "curl",
    "git",
    "hostname",
    "lsof",
    "openssl",
    "procps",
    "python3",
    "tini",
    "tzdata",
)
STEPS = ("packages.sh", "npm.sh", "pip.sh", "tree.mjs")
"""Scripts that the steps of any image run."""
TREE = "package-lock.json"
"""The release's dependency tree, in the build context."""
INSTALL_SCRIPTS = ("openclaw",)
"""npm packages whose install scripts run: OpenClaw's own is what completes its package. What
others have is not needed: their native modules come built (docs/images.md)."""
SCRIPTS = (
    *STEPS,
    "browser.sh",
    "docker.sh",
    "docker-loopback.sh",
    "healthcheck.mjs",
    "loopback.mjs",
)


@dataclass(frozen=True)
class Base:
    """A base image: its reference, and what identifies its content (None: not resolved yet).

    `digest` is a registry's digest, or the digest of the inputs of an image made on the host:
    the `bootstrapped` Debian, or a `local` one.
    """

    reference: str
    digest: str | None
    bootstrapped: bool = False
    local: bool = False

    @property
    def pinned(self) -> str:
        """What `docker build` takes: the reference by its digest, or the local tag."""
        if self.bootstrapped or self.local or not self.digest:
            return self.reference
        return f"{repository(self.reference)}@{self.digest}"

    @property
    def label(self) -> str:
        return f"{self.reference}@{self.digest}"


def tag(settings: Settings) -> str:
    """Return the tag under which the gateway's image runs; `openclaw:local` by default, as in
    OpenClaw's documentation.
    """
    return f"{settings.name}:local"


def repository(reference: str) -> str:
    """Return a reference without tag and digest."""
    name = reference.partition("@")[0]
    head, slash, last = name.rpartition("/")
    return head + slash + last.partition(":")[0]


def given_digest(reference: str) -> str | None:
    """Return the digest that a reference names itself."""
    return reference.partition("@")[2] or None


def bootstrapped_base() -> Base:
    """Return the Debian base image that is made on the host."""
    inputs = [SUITE, BASE_PACKAGES, BASE_DPKG_OPTIONS]
    return Base(BOOTSTRAPPED, digest(inputs), bootstrapped=True)


def node_base(settings: Settings, release: Release, lock: Lock) -> Base:
    """Return the registry's Node image for a release, as far as its digest is known."""
    reference = f"{settings.registry}/node:{release.node.version}-{SUITE}-slim"
    return Base(reference, lock.images.get(reference))


def image_base(settings: Settings, lock: Lock) -> Base:
    """Return the registry image that `gateway.image` names."""
    reference = settings.gateway.image or ""
    return Base(reference, given_digest(reference) or lock.images.get(reference))


def npm_context(settings: Settings, release: Release, base: Base) -> dict[str, str]:
    """Return the build context of the gateway from npm: file names and contents.

    Raises:
        LockError: the release's dependency tree is neither recorded nor can it be resolved.
    """
    gateway = settings.gateway
    dockerfile = templates.render(
        "images/gateway/Dockerfile.j2",
        version=gateway.version,
        release=release,
        install_scripts=INSTALL_SCRIPTS,
        bootstrap=base.bootstrapped,
        base_name=base.reference,
        packages=RUNTIME_PACKAGES,
        apt_packages=gateway.apt_packages,
        pip_packages=gateway.pip_packages,
        install_browser=gateway.install_browser,
        docker=settings.sandbox.enabled,
        browser="browser" in names.kinds(settings),
    )
    tree = trees.of(gateway.version, release)
    return {**context("gateway", dockerfile, SCRIPTS), TREE: tree}


def image_context(settings: Settings) -> dict[str, str]:
    """Return the build context that gives a registry image the toolkit's labels, and the docker
    client where sandboxes need it.
    """
    dockerfile = templates.render(
        "images/gateway/image.Dockerfile.j2",
        docker=settings.sandbox.enabled,
        browser="browser" in names.kinds(settings),
    )
    return context("gateway", dockerfile, SCRIPTS)


def git_arguments(settings: Settings, commit: str) -> dict[str, str]:
    """Return the build arguments of OpenClaw's own Dockerfile.

    Their names are those of its documentation (install/docker); both names of the apt list, for
    releases of either age.
    """
    gateway = settings.gateway
    packages = " ".join(gateway.apt_packages)
    arguments = {
        "GIT_COMMIT": commit,
        "OPENCLAW_DOCKER_APT_PACKAGES": packages,
        "OPENCLAW_IMAGE_APT_PACKAGES": packages,
        "OPENCLAW_IMAGE_PIP_PACKAGES": " ".join(gateway.pip_packages),
        "OPENCLAW_INSTALL_BROWSER": "1" if gateway.install_browser else "",
        "OPENCLAW_INSTALL_DOCKER_CLI": "1" if settings.sandbox.enabled else "",
    }
    given = {name: value for name, value in arguments.items() if value}
    return {**given, **settings.build.arguments}


def inputs(context: dict[str, str], base: Base, arguments: dict[str, str] | None = None) -> str:
    """Return the digest of everything that an image is made from."""
    return digest([context, base.digest, arguments or {}])


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
