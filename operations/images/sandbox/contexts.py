"""What the sandbox images are made from: bases and build contexts."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from operations.base import templates
from operations.distributions import IMAGE_REPOSITORY
from operations.engine_access import EngineWay
from operations.images import identity
from operations.images.identity import Base
from toolkit import releases
from toolkit.lockfile import Lock, Release
from toolkit.settings import Settings
from toolkit.settings.model import Gateway
from toolkit.settings.sandbox import names
from toolkit.settings.sandbox.model import CommonImage, SandboxImage
from toolkit.settings.sandbox.names import SUITE, ImageKind

FILES: dict[ImageKind, tuple[str, ...]] = {
    "minimal": ("packages.sh", "profile.sh"),
    "common": ("packages.sh", "npm.sh", "profile.sh"),
    "browser": ("packages.sh", "browser.sh", "haproxy.cfg"),
}
"""The files of each build context beside the Dockerfile."""
PACKAGES = {
    "go": ("golang-go",),
    "rust": ("rustc", "cargo"),
    "python": ("python3-pip", "python3-venv"),
    "build_tools": ("gcc", "g++", "make", "pkg-config", "libc6-dev"),
}
"""The Debian packages of each switch of the common image."""
CONTRACT = "2026-05-12-cdp-relay-auth"
"""What the label `org.openclaw.sandbox-browser.contract` of a browser's image must say: OpenClaw's
`SANDBOX_BROWSER_IMAGE_CONTRACT_EPOCH`."""
_AS_IT_IS = "# An image as it is; the build adds labels.\nARG BASE\nFROM ${BASE}\n"


def image(settings: Settings, kind: ImageKind) -> SandboxImage:
    """Return the settings of a sandbox image."""
    chosen: SandboxImage = getattr(settings.sandbox.images, kind)
    return chosen


def source(settings: Settings, kind: ImageKind) -> str:
    return image(settings, kind).source


def bases(settings: Settings, known: Lock, kind: ImageKind) -> Iterable[Base]:
    """Yield what an image may be built on; the common one is built on the minimal one.

    Raises:
        OSError, UnicodeDecodeError: a Dockerfile of the user's own cannot be read.
    """
    chosen = image(settings, kind)
    if chosen.source == "image":
        yield identity.registry_base(chosen.image or "", known)
    elif chosen.source == "dockerfile":
        yield Base("Dockerfile", identity.digest(_own(chosen)), local=True)
    elif kind == "common":
        yield Base(names.tag(settings.name, "minimal"), None, local=True)
    else:
        if settings.base_images != "bootstrap":
            yield identity.registry_base(f"{settings.registry}/{IMAGE_REPOSITORY}:{SUITE}", known)
        if settings.base_images != "registry":
            yield identity.bootstrapped_base()


def context(settings: Settings, base: Base, known: Lock, kind: ImageKind) -> dict[str, str]:
    """Return a build context: file names and contents.

    Raises:
        OSError, UnicodeDecodeError: a Dockerfile of the user's own cannot be read.
        LockError: the release that the common image is for cannot be resolved.
    """
    chosen = image(settings, kind)
    if chosen.source == "image":
        return {"Dockerfile": _AS_IT_IS}
    if chosen.source == "dockerfile":
        return {"Dockerfile": _own(chosen)}
    more = _common(settings, chosen, known) if isinstance(chosen, CommonImage) else {}
    dockerfile = templates.render(
        f"images/sandbox/{kind}.Dockerfile.j2",
        base_name=base.reference,
        uid=EngineWay(settings).uid,
        apt_packages=chosen.apt_packages,
        contract=CONTRACT,
        **more,
    )
    return identity.context("sandbox", dockerfile, FILES[kind])


def _own(chosen: SandboxImage) -> str:
    """Return a Dockerfile of the control machine."""
    text = Path(chosen.dockerfile or "").read_text(encoding="utf-8")
    return text if text.endswith("\n") else f"{text}\n"


def _release(settings: Settings, known: Lock) -> Release:
    """Return the release whose Node the common image has: the gateway's, where the toolkit knows
    it, else that of the toolkit's default release.
    """
    gateway = settings.gateway
    return releases.of(gateway.version if gateway.source == "npm" else Gateway().version, known)


def _common(settings: Settings, chosen: CommonImage, known: Lock) -> dict:
    packages = [
        name for switch, names in PACKAGES.items() if getattr(chosen, switch) for name in names
    ]
    tools = {"pnpm": chosen.pnpm, "bun": chosen.bun}
    return {
        "release": _release(settings, known),
        "packages": packages,
        "fetched": [
            (name, releases.TOOLS[name], known.tools[name])
            for name, wanted in tools.items()
            if wanted
        ],
        **{
            switch: getattr(chosen, switch)
            for switch in ("node", "pnpm", "bun", "go", "build_tools")
        },
    }
