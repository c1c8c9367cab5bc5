"""What the sandbox images are made of: build contexts from the settings and the lock."""

from __future__ import annotations

from operations import engine_access
from operations.base import templates
from operations.images import identity
from operations.images.identity import Base
from toolkit import releases
from toolkit.lockfile import Lock, Release
from toolkit.settings import Settings
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


def debian_base(settings: Settings, known: Lock) -> Base:
    """Return the registry's Debian image, as far as its digest is known."""
    reference = f"{settings.registry}/debian:{SUITE}"
    return Base(reference, known.images.get(reference))


def registry_base(reference: str, known: Lock) -> Base:
    """Return a registry image of the user's own."""
    return Base(reference, identity.given_digest(reference) or known.images.get(reference))


def dockerfile_base(text: str) -> Base:
    """Return what a Dockerfile of the user's own is built on: itself, by its content."""
    return Base("Dockerfile", identity.digest(text), local=True)


def built(settings: Settings, kind: ImageKind, base: Base, release: Release, known: Lock) -> dict:
    """Return the build context of one of the toolkit's own images."""
    chosen = image(settings, kind)
    more = _common(chosen, release, known) if isinstance(chosen, CommonImage) else {}
    dockerfile = templates.render(
        f"images/sandbox/{kind}.Dockerfile.j2",
        base_name=base.reference,
        uid=engine_access.uid(settings),
        apt_packages=chosen.apt_packages,
        contract=CONTRACT,
        **more,
    )
    return identity.context("sandbox", dockerfile, FILES[kind])


def as_it_is() -> dict[str, str]:
    """Return the build context that gives a registry image the toolkit's labels."""
    return {"Dockerfile": _AS_IT_IS}


def _common(chosen: CommonImage, release: Release, known: Lock) -> dict:
    packages = [
        name for switch, names in PACKAGES.items() if getattr(chosen, switch) for name in names
    ]
    tools = {"pnpm": chosen.pnpm, "bun": chosen.bun}
    return {
        "release": release,
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
