"""The settings of the sandboxes in which agents execute tools.

Keys follow OpenClaw's `agents.defaults.sandbox` (docs: gateway/config-agents/sandbox) in the
toolkit's spelling; what has no key here is set under `openclaw`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from toolkit.settings.sandbox import presets
from toolkit.settings.sandbox.images import CommonImage, SandboxImage, SandboxImages
from toolkit.settings.sandbox.presets import Preset
from toolkit.settings.sandbox.types import (
    AddressRange,
    AgentId,
    Bind,
    BrowserNetwork,
    Capability,
    ContainerNetwork,
    ContainerUser,
    ExtraHost,
    Tmpfs,
    ToolName,
    UlimitName,
    UlimitValue,
    WorkDirectory,
)
from toolkit.settings.section import Section
from toolkit.settings.types import (
    NOT_A_BOOLEAN,
    AbsolutePath,
    Boolean,
    CpuCount,
    EnvironmentName,
    EnvironmentValue,
    IpAddress,
    LocalText,
    Memory,
    Unit,
)

__all__ = [
    "CommonImage",
    "Sandbox",
    "SandboxAgent",
    "SandboxBrowser",
    "SandboxContainer",
    "SandboxImage",
    "SandboxImages",
    "SandboxPrune",
    "SandboxTools",
]


class SandboxContainer(Section):
    """The container in which tools run (OpenClaw's `sandbox.docker`); a sandboxed browser's
    container has the same user, limits, tmpfs and binds."""

    workdir: WorkDirectory = "/workspace"
    """Working directory, and where the workspace is mounted."""
    read_only_root: Boolean = True
    """Mount the root file system read-only."""
    tmpfs: tuple[Tmpfs, ...] = (
        "/tmp:rw,exec,nosuid,nodev,size=256m",
        "/var/tmp:rw,nosuid,nodev,size=64m",
        "/run:rw,noexec,nosuid,nodev,size=16m",
    )
    """Writable file systems in memory; they count against the memory limit."""
    network: ContainerNetwork = "none"
    """Network of the tools; `bridge`: one of the deployment's own, with a way to the Internet (see
    `egress`)."""
    user: ContainerUser | None = None
    """User of the tools; none: the one that the workspace belongs to, the gateway's (`gateway.uid`;
    1000:1000 in an engine without root)."""
    capabilities_dropped: tuple[Capability, ...] = ("ALL",)
    """Capabilities taken away; OpenClaw never adds one."""
    environment: dict[EnvironmentName, EnvironmentValue] = Field(default_factory=dict)
    """Environment variables of the tools, beside `LANG=C.UTF-8`; visible to whoever may inspect
    the container, and to every agent."""
    setup_command: LocalText | None = None
    """Command that runs once in a new container (`sh -lc`)."""
    pids_limit: Annotated[int, Field(ge=16, le=32768), NOT_A_BOOLEAN, Unit("processes")] | None = (
        256
    )
    """Limit of processes and threads; none: no limit."""
    memory: Memory | None = "1g"
    """Memory limit; none: no limit."""
    memory_swap: Memory | None = "1g"
    """Limit of memory and swap together; equal to `memory`: no swap; none: the engine's choice,
    which is as much swap again."""
    cpus: CpuCount | None = 1.0
    """CPU limit, in cores; none: no limit."""
    ulimits: dict[UlimitName, UlimitValue] = Field(default_factory=dict)
    """Process limits by name; `nproc` counts the user's processes on the whole host, so use
    `pids_limit` instead."""
    dns: tuple[IpAddress, ...] = ()
    """Name servers; empty: the engine's."""
    extra_hosts: tuple[ExtraHost, ...] = ()
    """Further host names."""
    binds: tuple[Bind, ...] = ()
    """Further directories of the host; paths as the host has them."""


class SandboxBrowser(Section):
    """The container in which a sandboxed browser runs (OpenClaw's `sandbox.browser`)."""

    enabled: Boolean = False
    """Give agents a browser in a sandbox of its own, and the `browser` tool."""
    headless: Boolean = False
    """Run Chromium without a display; then there is nothing to observe over noVNC."""
    novnc: Boolean = True
    """Let the owner watch over noVNC, protected by a password."""
    network: BrowserNetwork | None = None
    """Network of the browser; none: `NAME-sandbox-browser`, a network of its own."""
    source_range: AddressRange | None = None
    """Addresses that may reach the browser's control port; none: whoever has its token."""


class SandboxTools(Section):
    """Which tools a sandboxed session may use (OpenClaw's `tools.sandbox.tools`); a denied tool
    stays denied, whatever is allowed."""

    allow: tuple[ToolName, ...] | None = None
    """Tools that are allowed, and no others; none: OpenClaw's own list."""
    also_allow: tuple[ToolName, ...] = ()
    """Tools that are allowed beside OpenClaw's own list, such as those of an MCP server."""
    deny: tuple[ToolName, ...] | None = None
    """Tools that are denied; none: OpenClaw's own list."""


class SandboxPrune(Section):
    """When OpenClaw removes sandboxes."""

    idle_hours: Annotated[int, Field(ge=0, le=8760), NOT_A_BOOLEAN, Unit("hours")] = 24
    """Remove a sandbox that was not used for so long; 0: never for that reason."""
    max_age_days: Annotated[int, Field(ge=0, le=3650), NOT_A_BOOLEAN, Unit("days")] = 7
    """Remove a sandbox that is this old; 0: never for that reason."""


class SandboxAgent(Section):
    """What is different for one agent; what is not given is as for all agents."""

    preset: Preset | None = None
    """Named defaults of this agent."""
    mode: Literal["off", "non-main", "all"] | None = None
    """Which of its sessions are sandboxed; `off`: none, its tools run beside the gateway."""
    scope: Literal["session", "agent", "shared"] | None = None
    """What shares a sandbox."""
    workspace_access: Literal["none", "ro", "rw"] | None = None
    """What its tools see of its workspace."""
    workspace_root: AbsolutePath | None = None
    """Where its sandbox workspaces are, as the gateway sees it."""
    session_tools_visibility: Literal["spawned", "all"] | None = None
    """Which sessions its session tools reach."""
    container: SandboxContainer = SandboxContainer()
    browser: SandboxBrowser = SandboxBrowser()
    tools: SandboxTools = SandboxTools()
    prune: SandboxPrune = SandboxPrune()

    @model_validator(mode="before")
    @classmethod
    def _with_preset(cls, given: Any) -> Any:
        return presets.applied(given)


class Sandbox(Section):
    """Sandboxes: containers in which agents execute tools, apart from the gateway."""

    enabled: Boolean = False
    """Run agents' tools in sandboxes."""
    preset: Preset | None = None
    """Named defaults of this section (see Presets below); keys that are given win over them."""
    socket: Literal["auto", "rootless", "host", "socket"] = "auto"
    """How the gateway reaches an engine: `rootless` (an engine without root, under a user of its
    own, runs gateway and sandboxes), `host` (such an engine runs the sandboxes alone, and the
    gateway is a service of the host), `socket` (the host's engine, whose socket is as good as
    root); `auto`: what the deployment has already, else the safest container form that the host can
    carry."""
    mode: Literal["non-main", "all"] = "all"
    """Which sessions are sandboxed: all, or all but each agent's main one."""
    scope: Literal["session", "agent", "shared"] = "agent"
    """What shares a sandbox."""
    workspace_access: Literal["none", "ro", "rw"] = "none"
    """What tools see of the agent's workspace; with `none` they have one of their own, with `ro`
    theirs is at `/agent` and OpenClaw takes the writing tools away."""
    workspace_root: AbsolutePath | None = None
    """Where sandbox workspaces are, as the gateway sees it; none: OpenClaw's own place."""
    session_tools_visibility: Literal["spawned", "all"] = "spawned"
    """Which sessions a sandboxed session's tools reach: those that it started, or all."""
    container: SandboxContainer = SandboxContainer()
    browser: SandboxBrowser = SandboxBrowser()
    tools: SandboxTools = SandboxTools()
    prune: SandboxPrune = SandboxPrune()
    agents: dict[AgentId, SandboxAgent] = Field(default_factory=dict)
    """What is different for single agents, by id: `preset`, `mode` (also `off`), `scope`,
    `workspace_access`, `workspace_root`, `session_tools_visibility`, and the keys of `container`,
    `browser`, `tools` and `prune`. Only what is given is written to openclaw.json, what is not is
    removed there; an agent that is not there yet is added. With several agents OpenClaw answers on
    a channel only through the agent that it is bound to (`openclaw: {bindings: [...]}`), and
    each sees its own sessions alone (`tools.sessions.visibility: tree`)."""
    images: SandboxImages = SandboxImages()
    seccomp: Literal["own", "engine"] = "own"
    """The toolkit's system call profiles, or the engine's default."""
    apparmor: Literal["auto", "required", "off"] = "auto"
    """The toolkit's AppArmor profiles: `auto`: where kernel and engine have AppArmor; `required`:
    where they have not, that is an error; `off`: the engine's own profile."""

    @model_validator(mode="before")
    @classmethod
    def _with_preset(cls, given: Any) -> Any:
        return presets.applied(given)

    @property
    def has_browser(self) -> bool:
        """Whether any agent has a browser."""
        return self.browser.enabled or any(agent.browser.enabled for agent in self.agents.values())
