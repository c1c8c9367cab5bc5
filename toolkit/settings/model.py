"""The settings of one host: every knob, its default, its unit and its meaning.

The model is the single source of `docs/settings.md` and of the JSON Schema for
YAML inventories (see `toolkit.settings.reference`). It is pure: it reads neither
the environment nor any file.
"""

from __future__ import annotations

import ipaddress
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from toolkit.settings.backup import Backup
from toolkit.settings.channels import Channel, ChannelName
from toolkit.settings.egress import Egress
from toolkit.settings.exposure import TAILNET_PORT, WEB_PORTS, Exposure
from toolkit.settings.host import HostSettings
from toolkit.settings.pull import Pull
from toolkit.settings.sandbox.model import Sandbox
from toolkit.settings.section import Section
from toolkit.settings.types import (
    NOT_A_BOOLEAN,
    AbsolutePath,
    Accepts,
    AptPackage,
    AuthChoice,
    Boolean,
    CpuCount,
    Credential,
    EnvironmentName,
    EnvironmentValue,
    GitRef,
    GitRepository,
    ImageReference,
    IpAddress,
    JsonObject,
    LocalText,
    Memory,
    Mount,
    Network,
    Origin,
    PipRequirement,
    Port,
    ProjectName,
    RegistryPath,
    TimeZone,
    Unit,
    Url,
    UserName,
    Version,
    VolumeName,
)
from toolkit.settings.upgrade import Upgrade
from toolkit.settings.watch import Watch

STATE = "/home/node/.openclaw"
WORKSPACE = f"{STATE}/workspace"
"""Where the gateway's container has them."""


class Engine(Section):
    """Docker Engine, Compose v2 and BuildKit."""

    source: Literal["auto", "existing", "official", "distro"] = "auto"
    """Where the engine comes from: what is installed already, Docker's own apt repository,
    or the distribution's packages; `auto` tries them in that order."""
    repository_url: Url = "https://download.docker.com/linux"
    """Docker's apt repository, without the distribution's name (`official` only)."""
    repository_key: AbsolutePath | None = None
    """File on the control machine with the repository's signing key; none: fetched from the
    repository, and taken only if it is Docker's, by its fingerprint (`official` only)."""
    users: tuple[UserName, ...] = ()
    """Users of the host who may use the engine. Membership of the docker group is root on
    the host, so the default is nobody."""
    registry_mirrors: tuple[Url, ...] = ()
    """Mirrors of Docker Hub, in the order in which they are asked."""
    log_max_size: Memory = "10m"
    """Size at which a container's log file is rotated."""
    log_max_files: Annotated[int, Field(ge=1, le=100), NOT_A_BOOLEAN, Unit("files")] = 3
    """Rotated log files kept for each container."""
    daemon: JsonObject = Field(default_factory=dict)
    """Further keys of `/etc/docker/daemon.json` (address pools, proxies, ...), merged over
    what is there."""
    socket: AbsolutePath = "/var/run/docker.sock"
    """The engine's API socket on the host."""


class Build(Section):
    """How images are built."""

    npm_configuration: AbsolutePath | None = None
    """An `.npmrc` on the host, given to builds as a secret (never kept in a layer)."""
    pip_configuration: AbsolutePath | None = None
    """A `pip.conf` on the host, given to builds as a secret (never kept in a layer)."""
    arguments: dict[EnvironmentName, EnvironmentValue] = Field(default_factory=dict)
    """Further build arguments (`gateway.source: git` passes them to OpenClaw's Dockerfile)."""


class ImageRegistry(Section):
    """A registry through which hosts share the images that they build (docs/images.md)."""

    address: RegistryPath | None = None
    """Registry and path, such as `registry.example.org/openclaw`: the host that builds an image
    pushes it there, others pull it. None: images go from host to host."""
    username: LocalText | None = None
    """User of the registry; none: no login."""
    password: Credential | None = None
    """The user's password or token, by reference: `env: NAME`, `file: PATH` or `command: ...`,
    read on the control machine."""


class Images(Section):
    """How the hosts of a run share images."""

    share: Boolean = True
    """Build an image on one host of a run and give it to the others that want the same; off: each
    host builds its own."""
    registry: ImageRegistry = ImageRegistry()


class Gateway(Section):
    """The gateway's image and container."""

    source: Literal["npm", "image", "git"] = "npm"
    """Build from the npm release, run a registry image, or build a git checkout."""
    version: Version = "2026.9.6"
    """Release of the npm package `openclaw`, as a string (`npm` only)."""
    image: ImageReference | None = None
    """Registry reference (`image` only), for example `ghcr.io/openclaw/openclaw:2026.9.6`."""
    repository: GitRepository | None = None
    """Git repository (`git` only)."""
    ref: GitRef = "main"
    """Branch, tag or commit (`git` only)."""
    apt_packages: tuple[AptPackage, ...] = ()
    """Debian packages added to the image."""
    pip_packages: tuple[PipRequirement, ...] = ()
    """Python packages added to the image."""
    install_browser: Boolean = False
    """Add Playwright's Chromium to the image."""
    port: Port = 18789
    """Port of the gateway, inside the container and on the host alike."""
    address: IpAddress = "127.0.0.1"
    """Address of the host on which the port is published. Anything but loopback is reachable
    by strangers."""
    allowed_origins: tuple[Origin, ...] = ()
    """Further origins that may open the Control UI, such as the https origin of a proxy."""
    trusted_proxies: tuple[Network, ...] = ()
    """Addresses or networks of reverse proxies in front of the gateway."""
    uid: Annotated[int, Field(ge=1, le=65533), NOT_A_BOOLEAN] | None = None
    """User of the containers in the host's own engine; none: one that no account of the host has,
    derived from the deployment's name. With 1000, that of OpenClaw's images, the first login of
    most hosts can read the gateway's token and credentials; mounts that need it go on working.
    State that belongs to another uid is moved by the next run."""
    memory: Memory = "3g"
    """Memory limit; below 2g OpenClaw's own commands are killed, so less is refused."""
    cpus: CpuCount | None = None
    """CPU limit, in cores; none: no limit."""
    pids_limit: Annotated[int, Field(ge=64, le=32768), NOT_A_BOOLEAN, Unit("processes")] = 512
    """Limit of processes and threads."""
    tmp_size: Memory = "256m"
    """Size of the container's `/tmp` (tmpfs; counts against the memory limit)."""
    cache_size: Memory = "512m"
    """Size of `~/.cache` (tmpfs); OpenClaw keeps database snapshots there."""
    ready_timeout: Annotated[int, Field(ge=10, le=3600), NOT_A_BOOLEAN, Unit("seconds")] = 300
    """Seconds to wait for `/readyz` before a new gateway counts as failed. On a slow host give
    more: what else waits for OpenClaw (its CLI, its judges, the sandboxes' proof) then waits longer
    in proportion."""
    log_level: Literal["silent", "fatal", "error", "warn", "info", "debug", "trace"] | None = None
    """The least level that OpenClaw logs, to its console and to its own file; none: what
    openclaw.json has, else `info`. With one its own file, in the container's `/tmp`, is bounded
    by `tmp_size`."""
    log_style: Literal["pretty", "json"] | None = None
    """How OpenClaw writes a line of its console: as text, or as an object of JSON, which says its
    level (docs/logs.md); none: what openclaw.json has, else text."""
    environment: dict[EnvironmentName, EnvironmentValue] = Field(default_factory=dict)
    """Further environment variables of both services; secrets belong in `credentials`."""

    def patience(self, seconds: int) -> int:
        """Return how long OpenClaw may take on this host for what is given `seconds` elsewhere."""
        usual: int = type(self).model_fields["ready_timeout"].default
        return seconds * max(usual, self.ready_timeout) // usual


class Directories(Section):
    """Where things live on the host; none: derived from the deployment's name. The parents of each
    belong to root, and only root may write to them."""

    project: AbsolutePath | None = None
    """Compose files, `.env` and build contexts; default `/opt/NAME`."""
    config: AbsolutePath | None = None
    """OpenClaw's state, mounted at `/home/node/.openclaw`; default `/var/lib/NAME/config`."""
    workspace: AbsolutePath | None = None
    """The agents' workspace; default `/var/lib/NAME/workspace`."""
    auth: AbsolutePath | None = None
    """The key of the auth profiles, mounted at `/home/node/.config/openclaw`; default
    `/var/lib/NAME/auth`."""


class Onboarding(Section):
    """What OpenClaw's own set-up is told the first time."""

    enabled: Boolean = True
    """Run `openclaw onboard --non-interactive` before the first start."""
    auth_choice: AuthChoice = "skip"
    """OpenClaw's `--auth-choice`: the model provider to set up; `skip` leaves it for later."""


class Settings(Section):
    """The settings of one deployment on one host."""

    name: ProjectName = "openclaw"
    """Name of the deployment: compose project and default directories."""
    engine: Engine = Engine()
    base_images: Literal["auto", "registry", "bootstrap"] = "auto"
    """Where base images come from: a registry, or made on the host from Debian's packages
    and npm (no registry needed); `auto`: the registry when it can be reached."""
    debian_mirrors: tuple[Url, ...] = ()
    """Where base images that are made on the host, and builds on them, get Debian's packages:
    `http://HOST/debian`, and `http://HOST/debian-security` for its updates of security. None: the
    host's own sources, which only a Debian has; an Ubuntu without a registry needs them."""
    registry: RegistryPath = "docker.io/library"
    """Registry and path of the base images `debian` and `node`."""
    trust_host_cas: Boolean = True
    """Give the host's CA bundle and proxy variables to builds and containers."""
    build: Build = Build()
    images: Images = Images()
    gateway: Gateway = Gateway()
    directories: Directories = Directories()
    extra_mounts: tuple[Mount, ...] = ()
    """Bind mounts of both services, `SOURCE:TARGET[:ro|rw]`."""
    home_volume: VolumeName | None = None
    """Named volume (or absolute host path) that keeps `/home/node`."""
    time_zone: TimeZone = "UTC"
    """Time zone of the containers."""
    credentials: dict[EnvironmentName, Credential] = Field(default_factory=dict)
    """Provider and channel credentials that land in `.env`, each by reference: `env: NAME`,
    `file: PATH` or `command: ...`, read on the control machine."""
    config_ownership: Literal["merge", "managed"] = "merge"
    """`merge`: the toolkit owns named keys of openclaw.json; `managed`: OpenClaw may not
    write the file at all."""
    openclaw: JsonObject = Field(default_factory=dict)
    """Keys merged into openclaw.json; what the toolkit owns there (mode, bind, port, auth,
    origins) is set by its own keys above."""
    channels: dict[ChannelName, Channel] = Field(default_factory=dict)
    """Channels by OpenClaw's names: `telegram`, `discord`, ... (docs/channels.md)."""
    onboarding: Onboarding = Onboarding()
    sandbox: Sandbox = Sandbox()
    egress: Egress = Egress()
    exposure: Annotated[
        Exposure, Accepts("`tunnel`, or a mapping with the key https, tailscale or proxy")
    ] = Exposure()
    backup: Backup = Backup()
    upgrade: Upgrade = Upgrade()
    pull: Pull = Pull()
    host: HostSettings = HostSettings()
    watch: Watch = Watch()

    @model_validator(mode="before")
    @classmethod
    def _published(cls, value: Any) -> Any:
        """Where a proxy is to find the gateway, it is published, unless another place is given."""
        try:
            address = value["exposure"]["proxy"]["address"]
            gateway = {"address": address, **value.get("gateway", {})}
        except (KeyError, TypeError):
            return value
        return {**value, "gateway": gateway} if address else value

    @property
    def project_directory(self) -> str:
        return self.directories.project or f"/opt/{self.name}"

    @property
    def security_directory(self) -> str:
        """Of the profiles for the kernel."""
        return f"{self.project_directory}/security"

    @property
    def config_directory(self) -> str:
        return self.directories.config or f"/var/lib/{self.name}/config"

    @property
    def workspace_directory(self) -> str:
        return self.directories.workspace or f"/var/lib/{self.name}/workspace"

    @property
    def auth_directory(self) -> str:
        return self.directories.auth or f"/var/lib/{self.name}/auth"

    @property
    def archives_directory(self) -> str:
        """Of what OpenClaw's own command line backs up by hand."""
        return f"/var/lib/{self.name}/archives"

    @property
    def gateway_on_host(self) -> bool:
        """Whether the gateway is a service of the host; else it is a container."""
        return self.sandbox.socket == "host"

    @property
    def front_port(self) -> int | None:
        """The port of the host's loopback by which Caddy or tailscaled reaches a gateway in a
        container, and nobody else: OpenClaw derives no port of its own from there."""
        if self.exposure.profile in ("tunnel", "proxy") or self.gateway_on_host:
            return None
        return self.gateway.port + 10

    @property
    def public_ports(self) -> list[str]:
        """What anybody may connect to, as `PORT/PROTOCOL`: the one place that says it."""
        ports = set(self.host.firewall.allow)
        loopback = ipaddress.ip_address(self.gateway.address).is_loopback
        if not (loopback or self.exposure.proxy.origin):
            ports.add(f"{self.gateway.port}/tcp")
        if self.exposure.https.domain:
            ports |= {f"{port}/tcp" for port in WEB_PORTS}
        if self.exposure.tailscale.name:
            ports.add(TAILNET_PORT)
        return sorted(ports)

    @property
    def mounts_more(self) -> bool:
        """Whether the gateway has mounts beside those that each has."""
        return bool(self.extra_mounts or self.home_volume)

    @property
    def state_in_gateway(self) -> str:
        """Where OpenClaw's state is for the gateway: on the host it is where the host has it."""
        return self.config_directory if self.gateway_on_host else STATE

    @property
    def workspace_in_gateway(self) -> str:
        """Where the first agent's workspace is for the gateway."""
        return self.workspace_directory if self.gateway_on_host else WORKSPACE
