"""The kernel profiles of a deployment's containers: system calls (seccomp) and AppArmor.

A change of a profile is a change of its file only. Compose makes a new gateway for it (the
gateway's label covers `digest`); a sandbox that is running keeps the profile it was created with,
which `docker inspect` shows in full, until OpenClaw creates it again (`openclaw sandbox recreate`).
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from functools import lru_cache
from shlex import quote

from pyinfra import host
from pyinfra.api import StringCommand
from pyinfra.api.deploy import deploy

from operations import engine_access
from operations.base import files, notes, preflight, snapshot, templates
from operations.base.operation import operation
from operations.distributions import INSTALL
from operations.engine_access import EngineWay
from operations.security import apparmor, seccomp
from operations.security.seccomp import KINDS, Kind
from toolkit.settings import Settings

_OBSTACLES = {
    "unused": (
        "the engine makes no use of the kernel's AppArmor (`docker info`)",
        "install the package apparmor and restart the engine",
    ),
    "disabled": (
        "apparmor.service, which loads profiles at boot, is disabled",
        "systemctl enable apparmor.service",
    ),
}
"""What keeps profiles from being used on a kernel that has AppArmor: reason and fix."""
SECURITY_IN_GATEWAY = "/etc/openclaw-pyinfra/security"
"""Where `<project>/security` is mounted in the gateway's container, for OpenClaw to read."""


NO_PROFILES = (
    "not used: an engine without root cannot put containers under profiles; what protects instead"
    " is a user namespace of an account without privileges, a system call filter, no capabilities"
    " and no new privileges"
)
"""https://docs.docker.com/engine/security/rootless/#known-limitations"""


@snapshot.fact("apparmor")
@dataclass(frozen=True)
class AppArmor:
    """Whether the kernel has AppArmor and shows it here (a container host may not), which of our
    profiles it knows, and what keeps the engine or the next boot from using them (`_OBSTACLES`)."""

    available: bool = False
    loaded: int = 0
    obstacles: frozenset[str] = frozenset()

    @staticmethod
    def script(settings: Settings) -> str:
        names = "|".join(apparmor.name(settings.name, kind) for kind in KINDS)
        return f"""profiles=/sys/kernel/security/apparmor/profiles
grep -q Y /sys/module/apparmor/parameters/enabled && [ -e $profiles ] || exit 0
echo available
grep -xE '({names}) .enforce.' $profiles
case $(of 'engine security=') in
  *name=apparmor*) ;;
  *name=*) echo unused ;;
esac
[ ! -d /run/systemd/system ] || case $(systemctl is-enabled apparmor.service) in
  disabled | masked*) echo disabled ;;
esac"""

    @classmethod
    def parse(cls, lines: list[str]) -> AppArmor:
        loaded = sum(line.count("(enforce)") for line in lines)
        return cls(bool(lines), loaded, frozenset(lines) & _OBSTACLES.keys())


@files.managed_paths
def paths(settings: Settings) -> Iterable[str]:
    return [
        *(seccomp_path(settings.security_directory, kind) for kind in KINDS),
        apparmor.path(settings),
    ]


@preflight.check
def apparmor_problems(settings: Settings) -> Iterable[preflight.Problem]:
    if settings.sandbox.apparmor == "required" and not has_apparmor(settings):
        what = "the kernel has no AppArmor that this host may use"
        fix = "start it with apparmor=1 security=apparmor"
        for obstacle in snapshot.of(AppArmor).obstacles:
            what, fix = _OBSTACLES[obstacle]
        if EngineWay(settings).form == "rootless":
            what, fix = "an engine without root cannot use AppArmor profiles", "set sandbox.socket"
        yield preflight.Problem(
            f"sandbox.apparmor is required, but {what}",
            f"{fix}, or set sandbox.apparmor to auto or off",
        )
    off = settings.sandbox.apparmor == "off" or not snapshot.of(AppArmor).available
    unused = EngineWay(settings).own_engine and not off
    notes.of(host).apparmor = NO_PROFILES if unused else None


def seccomp_path(directory: str, kind: Kind) -> str:
    """Return the path on the host of a system call profile (written with `sandbox.seccomp: own`).

    OpenClaw has one setting for the containers of tools and browser, so a session with a browser
    gets `browser` for both, which allows what tools need too.
    """
    return f"{directory}/{seccomp_name(kind)}"


def seccomp_name(kind: Kind) -> str:
    return f"seccomp-{kind}.json"


def has_apparmor(settings: Settings) -> bool:
    """Return whether the current host's engine can use AppArmor profiles."""
    there = snapshot.of(AppArmor)
    usable = there.available and not there.obstacles
    return usable and not EngineWay(settings).own_engine


@dataclass(frozen=True)
class Profiles:
    """What a kind of container of the current host's deployment runs under."""

    settings: Settings
    kind: Kind

    @property
    def apparmor(self) -> str | None:
        """Return the name of the AppArmor profile in the kernel; None where there is none."""
        if self.settings.sandbox.apparmor == "off" or not has_apparmor(self.settings):
            return None
        return apparmor.name(self.settings.name, self.kind)

    @property
    def options(self) -> list[str]:
        """Return the profiles as Compose's `security_opt` names them."""
        found = []
        if self.settings.sandbox.seccomp == "own":
            found.append(f"seccomp:{seccomp_path(self.settings.security_directory, self.kind)}")
        return [*found, f"apparmor:{self.apparmor}"] if self.apparmor else found

    @property
    def in_openclaw(self) -> dict[str, str | None]:
        """Return the profiles as openclaw.json names them; the gateway reads the first one."""
        path = f"{SECURITY_IN_GATEWAY}/{seccomp_name(self.kind)}"
        return {
            "seccompProfile": None if self.settings.sandbox.seccomp == "engine" else path,
            "apparmorProfile": self.apparmor,
        }

    @property
    def digest(self) -> str:
        """Return a digest that changes whenever a container of this kind has to be made again."""
        return _digest(tuple(self.options), seccomp.render(self.kind))


@lru_cache(maxsize=64)
def _digest(options: tuple[str, ...], profile: str) -> str:
    return files.digest(repr([list(options), profile]))


@operation
def system_calls(settings: Settings) -> Generator:
    """Write the system call profiles that differ, once the engine has used each of them.

    + settings: the settings of the host
    """
    if settings.sandbox.seccomp == "engine":
        host.noop("sandbox.seccomp is engine")
        return
    wanted = {
        kind: files.File(seccomp_path(settings.security_directory, kind), seccomp.render(kind))
        for kind in KINDS
    }
    changed = {kind: file for kind, file in wanted.items() if files.differs(file)}
    if not changed:
        host.noop("the system call profiles are as they should be")
        return
    for file in changed.values():
        files.show_difference(file)
    script = templates.render(
        "security/seccomp.sh.j2",
        docker=engine_access.environment(settings),
        name=settings.name,
        directory=settings.security_directory,
        profiles={kind: file.content for kind, file in changed.items()},
    )
    yield StringCommand("sh -s", _stdin=[script])


@operation
def apparmor_loaded(settings: Settings) -> Generator:
    """Write the AppArmor profiles and load them; on a kernel without AppArmor there are none.

    + settings: the settings of the host

    AppArmor's own service loads /etc/apparmor.d at boot. Profiles that are not wanted any more
    stay in the kernel until then, for the containers that still run under them.
    """
    file = files.File(apparmor.path(settings), apparmor.render(settings))
    if Profiles(settings, "gateway").apparmor is None:
        if files.found(file.path):
            yield StringCommand(f"rm -f {quote(file.path)}")
        else:
            host.noop("the kernel has no AppArmor, or it is not wanted")
        return
    if snapshot.of(AppArmor).loaded == len(KINDS) and not files.differs(file):
        host.noop("the AppArmor profiles are as they should be")
        return
    files.show_difference(file)
    script = templates.render(
        "security/apparmor.sh.j2", path=file.path, content=file.content, install=INSTALL
    )
    yield StringCommand("sh -s", _stdin=[script])


@deploy("Security profiles")
def install(settings: Settings) -> None:
    """Write and load the kernel profiles of the gateway's and the sandboxes' containers."""
    system_calls(name="Write the system call profiles", settings=settings)
    apparmor_loaded(name="Load the AppArmor profiles", settings=settings)
