"""What is on the host already under the deployment's names, and is not the deployment's.

OpenClaw's own Docker set-up has the names that the default deployment has: Compose project
`openclaw`, services `openclaw-gateway` and `openclaw-cli`, image `openclaw:local`, port 18789. To
Compose it would be the same project, so it is told apart by the directory that it was started
from, and nothing is touched where anything of it would be.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Generator, Iterable
from dataclasses import dataclass

from pyinfra import host
from pyinfra.api.deploy import deploy
from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.host import Host

from operations import project
from operations.base import preflight, snapshot, templates
from operations.base.operation import operation
from operations.base.preflight import Problem
from operations.gateway import network
from operations.images import listing
from operations.images import stage as images
from operations.system import System
from toolkit.settings import Settings

BESIDE = (
    "deploy beside it under another name and port (--set name=NAME --set gateway.port=PORT), or"
    " {first}"
)
_LEAVING = "openclaw_leaving"
"""Key of `host.connector_data`: the port of an OpenClaw that the run stops before it needs it."""


def leaves(target: Host, port: int) -> None:
    """Note that who has a port on a host gives it away in this run."""
    target.connector_data[_LEAVING] = port


@dataclass(frozen=True)
class Container:
    """A container as `docker ps` shows it; `mounts` are volumes and directories of the host."""

    name: str
    project: str
    directory: str
    service: str
    label: str
    image: str
    state: str
    ports: str
    mounts: tuple[str, ...]

    def ours(self, settings: Settings) -> bool:
        """Whether the deployment made it; its project's directory may have been moved since."""
        if self.project != settings.name:
            return False
        here = self.directory == settings.project_directory
        if self.service != project.GATEWAY:
            return here
        return bool(self.label) and (here or settings.config_directory in self.mounts)

    def publishes(self, port: int) -> list[str]:
        """Return the addresses on which it publishes a port."""
        found = re.findall(r"(?:^|, )(\S+):(\d+)->", self.ports)
        return [address for address, one in found if int(one) == port]


@dataclass(frozen=True)
class Named:
    """A network or a volume; the Compose project or the deployment that made it, or ''."""

    kind: str
    name: str
    project: str


@dataclass(frozen=True)
class Image:
    """An image with tags; `inputs` is the toolkit's label, '' where somebody else made it."""

    id: str
    tags: tuple[str, ...]
    inputs: str


@snapshot.fact("occupied")
@dataclass(frozen=True)
class There:
    """What a host's engine has under the deployment's names, and its containers and networks.

    `own_file`: docker-compose.yml in the project's directory is the toolkit's, or absent.
    """

    containers: tuple[Container, ...] = ()
    named: tuple[Named, ...] = ()
    images: tuple[Image, ...] = ()
    own_file: bool = True

    @staticmethod
    def script(settings: Settings) -> str:
        volume = settings.home_volume
        return templates.render(
            "system/conflicts.sh.j2",
            compose_file=project.path(settings.project_directory, project.BASE),
            volume=volume if volume and not volume.startswith("/") else None,
        )

    @classmethod
    def parse(cls, lines: list[str]) -> There:
        containers, named, found, own_file = [], [], [], True
        for line in lines:
            try:
                kind, *fields = json.loads(line)
                if kind == "container":
                    *words, mounts = map(str, fields)
                    one = dict(zip(_COLUMNS, words, strict=True))
                    containers.append(Container(**one, mounts=tuple(mounts.split(","))))
                elif kind == "file":
                    own_file = False
                elif kind in ("network", "volume"):
                    named.append(Named(kind, *map(str, fields)))
                elif kind == "image":
                    identifier, tags, inputs = fields
                    found.append(Image(str(identifier), tuple(map(str, tags or ())), str(inputs)))
            except (ValueError, TypeError):
                continue  # not what was asked for
        return cls(tuple(containers), tuple(named), tuple(found), own_file)


_COLUMNS = ("name", "project", "directory", "service", "label", "image", "state", "ports")


@preflight.check
def conflict_problems(settings: Settings) -> Iterable[Problem]:
    there = snapshot.of(There)
    others = [one for one in there.containers if not one.ours(settings)]
    same_project = [one for one in others if one.project == settings.name]
    if not there.own_file:
        yield Problem(
            f"{project.path(settings.project_directory, project.BASE)} is not the toolkit's, and"
            " would be replaced",
            "move it away, set another directories.project, or deploy under another name"
            " (--set name=NAME)",
        )
    if same_project:
        yield project_problem(settings, same_project)
    else:
        yield from container_problems(settings, others)
        yield from image_problems(settings, there)
        yield from port_problems(settings, others)
    yield from named_problems(settings, there)


def project_problem(settings: Settings, found: list[Container]) -> Problem:
    """Say which Compose project of somebody else has the deployment's name, with all it has."""
    listed = ", ".join(f"{shown(one.name)} ({shown(one.state)})" for one in found[:6])
    places = sorted({one.directory or "an unknown directory" for one in found})
    mounts = sorted({mount for one in found for mount in one.mounts if mount})
    state = f", with its state in {', '.join(map(shown, mounts[:8]))}" if mounts else ""
    tag = images.tag(settings.name)
    own_tag = f"; its image needs another tag than {tag} then"
    stays = f"what it mounts stays{own_tag if any(one.image == tag for one in found) else ''}"
    return Problem(
        f"a Compose project {settings.name} that is not this deployment's is on the host:"
        f" {listed}, started from {', '.join(map(shown, places))}{state}",
        BESIDE.format(
            first="take it over (./claw adopt --set name=NAME), or stop and remove it (docker"
            f" compose down where it was started; {stays})"
        ),
    )


def container_problems(settings: Settings, others: list[Container]) -> Iterable[Problem]:
    """Say which containers have the gateway's name, or write to its state."""
    wanted = f"{settings.name}-{project.GATEWAY}-1"
    for one in others:
        if one.name == wanted:
            yield Problem(
                f"a container {wanted} ({shown(one.state)}, image {shown(one.image)}) is on the"
                " host and not this deployment's",
                BESIDE.format(first="rename or remove it first"),
            )
        elif (
            settings.config_directory in one.mounts
            and one.state == "running"
            and (one.project or one.image != images.tag(settings.name))  # else a step of a run
        ):
            yield Problem(
                f"the container {shown(one.name)} runs with {settings.config_directory}, and two"
                " gateways on one state destroy it",
                "stop that container, or set another directories.config",
            )


def image_problems(settings: Settings, there: There) -> Iterable[Problem]:
    """Say which image tags that a run would move are on somebody else's images."""
    for image in there.images:
        for tag in set(image.tags) & set(listing.tags(settings)) if not image.inputs else ():
            yield Problem(
                f"the image {tag} ({shown(image.id[:19])}) is not of this toolkit, and its tag"
                " would be moved to the one that is built",
                f"deploy under another name (--set name=NAME), or free the tag: docker tag {tag}"
                f" {tag}-before && docker rmi {tag}",
            )


def named_problems(settings: Settings, there: There) -> Iterable[Problem]:
    """Say which networks and volumes with the deployment's names another project made."""
    for one in there.named:
        if one.project == settings.name:
            continue
        by = f"the project {shown(one.project)}" if one.project else "somebody else"
        if one.kind == "network" and one.name in network.own_networks(settings):
            yield Problem(
                f"the network {one.name}, which the gateway needs, was made by {by}",
                "remove it, or deploy under another name (--set name=NAME)",
            )
        elif one.kind == "volume" and one.name == settings.home_volume and one.project:
            yield Problem(
                f"home_volume: the volume {one.name} is there already and was made by {by}",
                "set another home_volume",
            )


def port_problems(settings: Settings, others: list[Container]) -> Iterable[Problem]:
    """Say who has the gateway's port."""
    port, wanted = settings.gateway.port, settings.gateway.address
    if host.connector_data.get(_LEAVING) == port:
        return
    found = [
        (address, f"the container {shown(one.name)} (image {shown(one.image)})")
        for one in others
        for address in one.publishes(port)
    ] + [(one.address, shown(one.process)) for one in snapshot.of(System).listeners]
    for address, holder in found:
        if collide(wanted, address):
            yield Problem(
                f"gateway.port {port} is in use on {address} by {holder or 'another process'}",
                "stop that, or set another gateway.port; if it is an OpenClaw, ./claw adopt takes"
                " it over",
            )
            return


def collide(wanted: str, taken: str) -> bool:
    """Return whether a socket bound to `taken` keeps another from binding `wanted`."""
    try:
        one, other = ipaddress.ip_address(wanted), ipaddress.ip_address(taken)
    except ValueError:
        return False
    if one.is_unspecified or other.is_unspecified:
        # A wildcard IPv6 socket takes the IPv4 addresses as well, unless told otherwise.
        return one.version == other.version or (other.version == 6 and other.is_unspecified)
    return one == other


def shown(text: str) -> str:
    """Return what a host said as it may be printed: one line, no control characters, not long."""
    return "".join(character if character.isprintable() else "?" for character in text[:200])


@operation
def excluded(settings: Settings) -> Generator:
    """Go on only where nothing of somebody else's bears the deployment's names.

    + settings: the settings of the host

    The preflight has looked already, but an engine that was installed or stopped then shows its
    containers only now.
    """
    for problem in conflict_problems(settings):
        raise PyinfraError(f"{problem.what}\n    fix: {problem.fix}")
    host.noop("nothing of somebody else's has the deployment's names")
    yield from ()


@deploy("Conflicts")
def exclude(settings: Settings) -> None:
    """Stop where an engine that has just been started shows somebody else's deployment."""
    excluded(name="Look for what bears the deployment's names", settings=settings)
