"""What engine a host has, and which one the settings ask for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from operations import engine_access, packages
from operations.base import snapshot, templates
from operations.engine import apt_sources, daemon
from operations.engine_access import DEFAULT_SOCKETS
from operations.packages import Packages
from operations.system import Disk, System, release_of, version_of
from toolkit.settings import Settings

MINIMUM = {"Docker Engine": "20.10", "Compose": "2.20", "buildx": "0.10"}
"""The oldest that the toolkit runs with: Debian 12's engine, and Ubuntu 22.04's Compose."""

OFFICIAL = (
    "docker-ce",
    "docker-ce-cli",
    "containerd.io",
    "docker-buildx-plugin",
    "docker-compose-plugin",
)
# https://docs.docker.com/engine/install/debian/#uninstall-old-versions; the last three hold the
# same files as Docker's packages, in the releases of Debian and Ubuntu that have them.
CONFLICTING = (
    "docker.io",
    "docker-doc",
    "docker-compose",
    "podman-docker",
    "containerd",
    "runc",
    "docker-cli",
    "docker-buildx",
    "docker-compose-v2",
)

# https://docs.docker.com/engine/security/rootless/#prerequisites
ROOTLESS = ("uidmap", "slirp4netns", "dbus-user-session")
ROOTLESS_OF = {"official": ("docker-ce-rootless-extras",), "distro": ("rootlesskit",)}

Source = Literal["existing", "official", "distro"]


@packages.known
def names(settings: Settings) -> Iterable[str]:
    rootless = (*ROOTLESS, *ROOTLESS_OF["official"], *ROOTLESS_OF["distro"])
    return (*OFFICIAL, *CONFLICTING, *rootless, "apparmor")


@snapshot.fact("engine")
@dataclass(frozen=True)
class Engine:
    """The engine of a host; an empty version means that the part is not there or does not answer.

    `daemon` and `previous` are the texts of daemon.json and of the one before it, the passwords
    in addresses replaced by `***`; None: no such file. `previous` is there while the engine has
    not yet been seen to run with `daemon`. `digest` is daemon.json's as it was read. `snapshotter`
    is containerd's, where that keeps the images; `stores` are the disks of the two places for them.
    `security` is what the engine says of it. `helpers` are credential helpers that root's logins
    need and that are not there, each with the registry, '' for all.
    """

    version: str = ""
    compose: str = ""
    buildx: str = ""
    installed: bool = False
    enabled: bool = False
    masked: bool = False
    disabled: bool = False
    security: str = ""
    of_a_user: str = ""
    snap: bool = False
    live_restore: bool = False
    swarm: bool = False
    containers: int = 0
    snapshotter: str = ""
    stores: dict[str, Disk] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    daemon: str | None = None
    previous: str | None = None
    digest: str = ""
    members: tuple[str, ...] = ()
    strangers: tuple[str, ...] = ()
    repository: str = ""
    other_source: bool = False
    foreign_source: bool = False
    helpers: tuple[str, ...] = ()

    @property
    def running(self) -> bool:
        return bool(self.version)

    @staticmethod
    def script(settings: Settings) -> str:
        return templates.render(
            "engine/probe.sh.j2",
            daemon=daemon.PATH,
            previous=daemon.PREVIOUS,
            users=settings.engine.users,
            url=settings.engine.repository_url
            if settings.engine.source in ("auto", "official")
            else "",
            official=settings.engine.source == "official",
            source=apt_sources.SOURCE,
            data_root=settings.engine.daemon.get("data-root", ""),
            rootless_socket=engine_access.rootless_socket(settings.name),
            rootless_home=engine_access.rootless_home(settings.name),
        )

    @classmethod
    def parse(cls, lines: list[str]) -> Engine:
        facts: dict[str, str] = {}
        files: dict[str, list[str]] = {}
        strangers, helpers, stores = [], [], {}
        for line in lines:
            word, _, value = line.removeprefix("engine ").partition("=")
            if word == "stranger":
                strangers.append(value)
            elif word == "helper":
                helpers.append(value)
            elif word == "disk":
                name, disk = Disk.parse(value)
                stores[name] = disk
            elif word in ("daemon", "previous"):
                files.setdefault(word, []).append(value)
            else:
                facts[word] = value
        return cls(
            version=facts.get("server", ""),
            compose=facts.get("compose", "").removeprefix("v"),
            buildx=facts.get("buildx", "").removeprefix("v"),
            installed="installed" in facts,
            enabled=facts.get("enabled") in ("enabled", "no systemd"),
            masked="masked" in facts.get("enabled", "") + facts.get("activation", ""),
            disabled=facts.get("enabled") == "disabled",
            security=facts.get("security", ""),
            of_a_user=facts.get("of-a-user", ""),
            snap="snap" in facts,
            live_restore=facts.get("live-restore") == "true",
            swarm=facts.get("swarm", "inactive") not in ("inactive", ""),
            containers=int(facts.get("containers") or 0),
            snapshotter=facts.get("snapshotter", ""),
            stores=stores,
            arguments=tuple(facts.get("arguments", "").split()),
            daemon="\n".join(files["daemon"][1:]) if "daemon" in files else None,
            previous="\n".join(files["previous"][1:]) if "previous" in files else None,
            digest=facts.get("digest", ""),
            members=tuple(filter(None, facts.get("members", "").split(","))),
            strangers=tuple(strangers),
            repository=facts.get("repository", ""),
            other_source="other-source" in facts,
            foreign_source="foreign-source" in facts,
            helpers=tuple(helpers),
        )

    def too_old(self) -> list[str]:
        """Return what is missing or below the minimum, each as `NAME VERSION (MINIMUM needed)`."""
        there = {"Docker Engine": self.version, "Compose": self.compose, "buildx": self.buildx}
        return [
            f"{name} {version or 'missing'} ({MINIMUM[name]} or newer needed)"
            for name, version in there.items()
            if version_of(version) < version_of(MINIMUM[name])
        ]


@dataclass(frozen=True)
class Plan:
    """Where a host's engine comes from, and what apt is told to make it so."""

    source: Source
    missing: tuple[str, ...] = ()
    removed: tuple[str, ...] = field(default=())


def plan(
    settings: Settings, system: System, engine: Engine, there: Packages, rootless: bool = False
) -> Plan:
    """Decide from the settings and the state of the host what its engine is to be, and whether it
    is to run without root.
    """
    source = _source(settings, engine, there)
    if source == "existing":
        return Plan(source)
    if source == "official":
        missing = tuple(name for name in OFFICIAL if name not in there.versions)
        removed = tuple(name for name in CONFLICTING if name in there.versions)
    else:
        release = release_of(system)
        wanted = release.packages if release else ()
        missing = tuple(item for item in wanted if not _installed(item, there))
        removed = ()
    if rootless:
        missing += tuple(
            name for name in (*ROOTLESS, *ROOTLESS_OF[source]) if name not in there.versions
        )
    if system.apparmor and "apparmor" not in there.versions:
        # An engine on a kernel with AppArmor cannot start containers without its parser.
        missing += ("apparmor",)
    return Plan(source, missing, removed)


def version_to_be(
    settings: Settings, engine: Engine, system: System, there: Packages
) -> tuple[int, ...]:
    """Return the version of the engine that runs, or as far as it is known, that will."""
    found = engine.version or there.versions.get("docker.io", "")
    if not found and _source(settings, engine, there) == "distro":
        release = release_of(system)
        found = release.engine_version if release else ""
    return version_of(found) or (99,)


def _source(settings: Settings, engine: Engine, there: Packages) -> Source:
    asked = settings.engine.source
    if settings.engine.socket not in DEFAULT_SOCKETS:
        return "existing"
    if asked != "auto":
        return asked
    if engine.running and not engine.too_old():
        return "existing"
    if "docker-ce" in there.versions:
        return "official"
    if "docker.io" in there.versions:
        return "distro"
    if engine.running:
        return "existing"
    return "official" if engine.repository == "reachable" else "distro"


def _installed(item: str, there: Packages) -> bool:
    name, _, suite = item.partition("/")
    version = there.versions.get(name)
    if version is None:
        return False
    # The one of the host's own release is Compose v1.
    return not (suite and name == "docker-compose" and version_of(version) < (2,))
