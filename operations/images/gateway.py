"""What the gateway's image is made from: npm, a registry's image, or a git checkout."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from operations.base import templates
from operations.base.waits import waiting
from operations.images import identity
from operations.images.identity import Base
from toolkit import releases, trees
from toolkit.lockfile import Lock, Release
from toolkit.settings import Settings
from toolkit.settings.sandbox import names

FOLDER = "gateway"
"""Of the build context, in the project's `images`."""
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
TREE = "package-lock.json"
"""The release's dependency tree, in the build context."""
INSTALL_SCRIPTS = ("openclaw",)
"""npm packages whose install scripts run: OpenClaw's own is what completes its package. What
others have is not needed: their native modules come built (docs/images.md)."""
SCRIPTS = (
    *identity.STEPS,
    "browser.sh",
    "docker.sh",
    "docker-loopback.sh",
    "healthcheck.mjs",
    "loopback.mjs",
)


def tag(deployment: str) -> str:
    """Return the tag under which the gateway's image runs; `openclaw:local` by default, as in
    OpenClaw's documentation.
    """
    return f"{deployment}:local"


def checkout(settings: Settings) -> str:
    """Return where a git checkout is on the host."""
    return f"{settings.project_directory}/images/{FOLDER}/source"


def source(settings: Settings) -> str:
    return settings.gateway.source


def bases(settings: Settings, known: Lock) -> Iterable[Base]:
    """Yield what the image may be built on.

    Raises:
        LockError: the release cannot be resolved.
    """
    gateway = settings.gateway
    if gateway.source == "git":
        yield _repository(settings, known)
    elif gateway.source == "image":
        yield identity.registry_base(gateway.image or "", known)
    else:
        if settings.base_images != "bootstrap":
            node = release(settings, known).node.version
            reference = f"{settings.registry}/node:{node}-{identity.SUITE}-slim"
            yield identity.registry_base(reference, known)
        if settings.base_images != "registry":
            yield identity.bootstrapped_base()


def context(settings: Settings, base: Base, known: Lock) -> dict[str, str]:
    """Return the build context: file names and contents; none of a git checkout.

    Raises:
        LockError: the release's dependency tree is neither recorded nor can it be resolved.
    """
    if settings.gateway.source == "git":
        return {}
    if settings.gateway.source == "image":
        return _image_context(settings)
    return npm_context(settings, release(settings, known), base)


def arguments(settings: Settings, base: Base) -> dict[str, str]:
    """Return the build arguments of OpenClaw's own Dockerfile, which is in a git checkout.

    Their names are those of its documentation (install/docker); both names of the apt list, for
    releases of either age.
    """
    gateway = settings.gateway
    if gateway.source != "git":
        return {}
    packages = " ".join(gateway.apt_packages)
    known = {
        "GIT_COMMIT": base.digest or "",
        "OPENCLAW_DOCKER_APT_PACKAGES": packages,
        "OPENCLAW_IMAGE_APT_PACKAGES": packages,
        "OPENCLAW_IMAGE_PIP_PACKAGES": " ".join(gateway.pip_packages),
        "OPENCLAW_INSTALL_BROWSER": "1" if gateway.install_browser else "",
        "OPENCLAW_INSTALL_DOCKER_CLI": "1" if settings.sandbox.enabled else "",
    }
    given = {name: value for name, value in known.items() if value}
    return {**given, **settings.build.arguments}


def release(settings: Settings, known: Lock) -> Release:
    """Return the release that is installed from npm.

    Raises:
        ReleaseError: it cannot be resolved.
    """
    version = settings.gateway.version
    with waiting(f"npm, asked on this machine about OpenClaw {version}"):
        return releases.of(version, known)


def npm_context(settings: Settings, release: Release, base: Base) -> dict[str, str]:
    """Return the build context of a release from npm.

    Raises:
        LockError: the release's dependency tree is neither recorded nor can it be resolved.
    """
    tree = trees.of(settings.gateway.version, release)
    return {**_npm_files(settings, release, base), TREE: tree}


@lru_cache(maxsize=64)
def _npm_files(settings: Settings, release: Release, base: Base) -> dict[str, str]:
    """Return the files of that context which come of the toolkit's own templates."""
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
        browser="browser" in names.kinds(settings.sandbox),
    )
    return identity.context(FOLDER, dockerfile, SCRIPTS)


def _image_context(settings: Settings) -> dict[str, str]:
    """Return the build context that gives a registry image the toolkit's labels, and the docker
    client where sandboxes need it.
    """
    dockerfile = templates.render(
        "images/gateway/image.Dockerfile.j2",
        docker=settings.sandbox.enabled,
        browser="browser" in names.kinds(settings.sandbox),
    )
    return identity.context(FOLDER, dockerfile, SCRIPTS)


def _repository(settings: Settings, known: Lock) -> Base:
    """Return the git checkout as a base; its digest is a commit."""
    gateway = settings.gateway
    reference = re.sub(r"://[^/@]*@", "://", f"{gateway.repository}#{gateway.ref}")
    commit = known.repositories.get(reference)
    if re.fullmatch(r"[0-9a-f]{40}", gateway.ref):
        commit = gateway.ref
    return Base(reference, commit, local=True)
