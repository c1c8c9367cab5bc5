"""The settings of the sandboxes in which agents execute tools.

Keys follow OpenClaw's `agents.defaults.sandbox` (docs: gateway/config-agents/sandbox) in the
toolkit's spelling; what has no key here is set under `openclaw`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from toolkit.settings.section import Section
from toolkit.settings.types import (
    NOT_A_BOOLEAN,
    AbsolutePath,
    AptPackage,
    Boolean,
    CpuCount,
    EnvironmentName,
    EnvironmentValue,
    ImageReference,
    Memory,
    Unit,
)


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


class SandboxContainer(Section):
    """The container in which tools run (OpenClaw's `sandbox.docker`)."""

    workdir: AbsolutePath = "/workspace"
    """Working directory, and where the workspace is mounted."""
    read_only_root: Boolean = True
    """Mount the root file system read-only."""
    tmpfs: tuple[str, ...] = (
        "/tmp:rw,nosuid,nodev,size=256m",
        "/var/tmp:rw,nosuid,nodev,size=64m",
        "/run:rw,noexec,nosuid,nodev,size=16m",
    )
    """Writable file systems in memory, `PATH[:OPTIONS]`; they count against the memory limit."""
    network: Annotated[str, Field(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_.-]*$")] = "none"
    """Network: `none`, `bridge`, or an own bridge network's name."""
    user: Annotated[str, Field(pattern=r"^[0-9]+:[0-9]+$")] = "1000:1000"
    """User of the tools, `UID:GID`."""
    capabilities_dropped: tuple[str, ...] = ("ALL",)
    """Capabilities taken away; OpenClaw never adds one."""
    environment: dict[EnvironmentName, EnvironmentValue] = Field(default_factory=dict)
    """Environment variables of the tools; visible to whoever may inspect the container."""
    setup_command: str | None = None
    """Command that runs once in a new container (`sh -lc`)."""
    pids_limit: Annotated[int, Field(ge=16, le=32768), NOT_A_BOOLEAN, Unit("processes")] | None = (
        256
    )
    """Limit of processes and threads; none: no limit."""
    memory: Memory | None = "1g"
    """Memory limit; none: no limit."""
    memory_swap: Memory | None = "1g"
    """Limit of memory and swap together; equal to `memory`: no swap."""
    cpus: CpuCount | None = 1.0
    """CPU limit, in cores; none: no limit."""
    ulimits: dict[str, str] = Field(default_factory=dict)
    """Process limits by name, `SOFT` or `SOFT:HARD`; `nproc` counts the user's processes on the
    whole host, so use `pids_limit` instead."""
    dns: tuple[str, ...] = ()
    """Name servers."""
    extra_hosts: tuple[str, ...] = ()
    """Further host names, `NAME:ADDRESS`."""
    binds: tuple[str, ...] = ()
    """Further directories of the host, `SOURCE:TARGET:ro|rw`; paths of the host."""


class SandboxBrowser(Section):
    """The container in which a sandboxed browser runs (OpenClaw's `sandbox.browser`)."""

    enabled: Boolean = False
    """Give agents a browser in a sandbox of its own."""
    headless: Boolean = False
    """Run Chromium without a display; then there is nothing to observe over noVNC."""
    novnc: Boolean = True
    """Let the owner watch over noVNC, protected by a password."""
    network: Annotated[str, Field(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_.-]*$")] | None = None
    """Bridge network of the browser; none: `NAME-sandbox-browser`, a network of its own."""
    source_range: str | None = None
    """CIDR range that may reach the browser's control port; none: whoever has its token."""


class SandboxTools(Section):
    """Which tools a sandboxed session may use (OpenClaw's `tools.sandbox.tools`)."""

    allow: tuple[str, ...] | None = None
    """Tools that are allowed; none: OpenClaw's own list."""
    deny: tuple[str, ...] | None = None
    """Tools that are denied, whatever is allowed; none: OpenClaw's own list."""


class SandboxPrune(Section):
    """When OpenClaw removes sandboxes."""

    idle_hours: Annotated[int, Field(ge=0, le=8760), NOT_A_BOOLEAN, Unit("hours")] = 24
    """Remove a sandbox that was not used for so long."""
    max_age_days: Annotated[int, Field(ge=0, le=3650), NOT_A_BOOLEAN, Unit("days")] = 7
    """Remove a sandbox that is this old."""


class Sandbox(Section):
    """Sandboxes: containers in which agents execute tools, apart from the gateway."""

    enabled: Boolean = False
    """Run agents' tools in sandboxes."""
    socket: Literal["auto", "rootless", "socket"] = "auto"
    """How the gateway reaches an engine: `rootless` (an engine without root, under a user of its
    own, runs gateway and sandboxes), `socket` (the host's engine, whose socket is as good as root);
    `auto`: what the deployment has already, else the safest that the host can carry."""
    mode: Literal["non-main", "all"] = "all"
    """Which sessions are sandboxed: all, or all but each agent's main one."""
    scope: Literal["session", "agent", "shared"] = "agent"
    """What shares a sandbox."""
    workspace_access: Literal["none", "ro", "rw"] = "none"
    """What tools see of the agent's workspace; with `none` they have one of their own."""
    workspace_root: AbsolutePath | None = None
    """Where sandbox workspaces are, as the gateway sees it; none: OpenClaw's own place."""
    container: SandboxContainer = SandboxContainer()
    browser: SandboxBrowser = SandboxBrowser()
    tools: SandboxTools = SandboxTools()
    prune: SandboxPrune = SandboxPrune()
    images: SandboxImages = SandboxImages()
    seccomp: Literal["own", "engine"] = "own"
    """The toolkit's system call profiles, or the engine's default."""
    apparmor: Literal["auto", "required", "off"] = "auto"
    """The toolkit's AppArmor profiles: where the kernel has AppArmor, nowhere else an error, or
    not at all."""
