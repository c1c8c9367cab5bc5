"""The settings of the images that sandboxes run."""

from __future__ import annotations

from typing import Literal

from toolkit.settings.section import Section
from toolkit.settings.types import AbsolutePath, AptPackage, Boolean, ImageReference


class SandboxImage(Section):
    """One of the sandbox images."""

    source: Literal["build", "image", "dockerfile"] = "build"
    """Build the toolkit's own image, take a registry image, or build a Dockerfile of your own;
    the same checks apply to all three."""
    image: ImageReference | None = None
    """Registry reference (`image` only)."""
    dockerfile: AbsolutePath | None = None
    """Dockerfile on the control machine (`dockerfile` only); its build context is empty."""
    apt_packages: tuple[AptPackage, ...] = ()
    """Debian packages added to the image (`build` only)."""


class CommonImage(SandboxImage):
    """The image with language tools, on top of the minimal one."""

    enabled: Boolean = False
    """Build it, and run tools in it."""
    node: Boolean = True
    """Node, npm and npx: the gateway's Node release."""
    pnpm: Boolean = True
    """pnpm (needs `node`)."""
    bun: Boolean = True
    """Bun."""
    go: Boolean = True
    """Go, Debian's release."""
    rust: Boolean = True
    """rustc and cargo, Debian's release."""
    python: Boolean = True
    """pip and venv; python3 itself is in every sandbox image, since OpenClaw's helpers need it."""
    build_tools: Boolean = True
    """gcc, g++, make and pkg-config."""


class SandboxImages(Section):
    """The images that sandboxes run."""

    minimal: SandboxImage = SandboxImage()
    """`NAME-sandbox:bookworm-slim`: what OpenClaw's sandbox helpers need, and your packages."""
    common: CommonImage = CommonImage()
    """`NAME-sandbox-common:bookworm-slim`."""
    browser: SandboxImage = SandboxImage()
    """`NAME-sandbox-browser:bookworm-slim`: Chromium (built with `browser.enabled`)."""
