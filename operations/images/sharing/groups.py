"""Which host of a run builds an image, and which ones get it from there.

Hosts that accept the same image (the same inputs, tag and architecture) are a group. One of them
builds, unless one has it already; the others wait and receive. All hosts of a run are greenlets of
one process, so waiting is waiting for an event.

The first host of a group is planned to build. Who builds is decided when it comes to it, so that
no host waits for one that does not come: a host of a later batch, or one that failed before.

Where the settings name a registry, it gives as a host does: what the lock knows to be there, and
what was built in this run (`registry`). Then a host that is alone is a group, too.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import cast

from pyinfra import host as current_host
from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.host import Host
from pyinfra.context import ctx_host

from operations.base import notes, preflight, snapshot
from operations.images.sharing import in_registry, processes
from operations.images.sharing.archive import Archive
from operations.images.sharing.in_registry import Stored
from operations.images.state import Image
from operations.system import System
from toolkit.greenlets import Event, RLock
from toolkit.settings import Settings, settings_for

BUILDERS = 2
"""After how many failed builders a group gives up: one may have a full disk; a mistake in the
settings fails everywhere."""
LOOK_SECONDS = 1.0
_GROUPS = "openclaw_shared_images"
_RUN = "openclaw_sharing_lock"


Giver = Host | Stored
"""Who has an image: a host of the run, or a registry."""


class SharingError(PyinfraError):
    """An image can be had from no host of the run."""


@dataclass(frozen=True)
class Want:
    """What a host wants under a tag: any image whose inputs are among `accepted`. `image` and
    `inputs` are those of the one it has, if it is one of these.
    """

    host: Host
    tag: str
    architecture: str
    accepted: tuple[str, ...]
    image: str | None = None
    inputs: str | None = None
    registry: str = ""


@dataclass(eq=False)
class Group:
    """Hosts that accept the same image; `sources` have it, by its id on each.

    `stored` is what a host of the run has pushed to the group's registry; `silent` says that this
    failed.
    """

    tag: str
    inputs: str
    members: list[Host] = field(default_factory=list)
    sources: dict[Giver, str] = field(default_factory=dict)
    refused: dict[Giver, str] = field(default_factory=dict)
    failed: list[Host] = field(default_factory=list)
    builder: Host | None = None
    archive: Archive | None = None
    """What the control machine keeps of it."""
    architecture: str = ""
    registry: str = ""
    stored: Stored | None = None
    silent: bool = False
    pushing: RLock = field(default_factory=RLock)
    changed: Event = field(default_factory=Event)

    @property
    def expected(self) -> Host | None:
        """The host that is planned to build; None if one has the image."""
        return None if self.sources else self.members[0]

    def source(self, without: Collection[Giver] = ()) -> Giver | None:
        """Return who has the image and may give it; None if there is nobody."""
        usable = (one for one in self.sources if one not in self.refused and one not in without)
        return next(usable, None)

    def next(
        self,
        host: Host,
        alive: Callable[[Host], bool],
        coming: Callable[[Host], bool],
        without: Collection[Giver] = (),
    ) -> Giver:
        """Return who gives the image to `host`: itself, if it has to build it. Waits while another
        builds.

        + alive: whether a host is connected and has not failed
        + coming: whether a host is on its way here
        + without: who cannot give it to this host

        Raises:
            SharingError: it could not be built.
        """
        while True:
            found = self.source(without)
            if found is not None:
                return found
            if self.builder is not None and not alive(self.builder):
                self.fails(self.builder)
            if self.builder is None:
                if len(self.failed) >= BUILDERS:
                    names = " and ".join(str(one) for one in self.failed)
                    raise SharingError(f"it could not be built on {names}; see the reason there")
                first = self.members[0] if self.members else host
                waits = first is not host and first not in self.failed and first not in self.sources
                if not (waits and alive(first) and coming(first)):
                    self.builder = host
                    return host
            self.changed.clear()
            self.changed.wait(LOOK_SECONDS)

    def has(self, host: Host, image: str) -> None:
        """Say that a host has the image."""
        if self.builder is host:
            self.builder = None
        self.sources[host] = image
        self.changed.set()

    def fails(self, host: Host) -> None:
        """Say that the host could not build it."""
        if self.builder is host:
            self.builder = None
            self.failed.append(host)
        self.changed.set()

    def refuses(self, giver: Giver, reason: str) -> None:
        """Say that somebody could not give it."""
        self.refused[giver] = reason
        self.changed.set()


def grouped(wants: Sequence[Want], choose: Callable[[Want], str]) -> dict[Host, Group]:
    """Return the group of every host.

    + choose: the inputs that a host would get or build by itself, of those it accepts
    """
    groups: dict[tuple[str, ...], Group] = {}
    result: dict[Host, Group] = {}

    def key(want: Want, inputs: str) -> tuple[str, ...]:
        return want.tag, inputs, want.architecture, want.registry

    def group(want: Want, inputs: str) -> Group:
        new = Group(want.tag, inputs, architecture=want.architecture, registry=want.registry)
        made = groups.setdefault(key(want, inputs), new)
        result[want.host] = made
        return made

    for want in wants:
        if want.image and want.inputs:
            group(want, want.inputs).sources[want.host] = want.image
    for want in wants:
        if not (want.image and want.inputs):
            known = (one for one in want.accepted if key(want, one) in groups)
            group(want, next(known, None) or choose(want)).members.append(want.host)
    return result


# What the hosts of a run want


@dataclass(frozen=True)
class Wish:
    """What the current host wants under a tag: the inputs of images it accepts, the image there if
    it is one of these, and a function that says which inputs it would build by itself.
    """

    tag: str
    accepted: tuple[str, ...]
    there: Image | None
    choose: Callable[[], str]


Wishes = Callable[[Settings], Wish | None]


def arrange(wishes: Iterable[Wishes]) -> None:
    """Group the hosts of the run, once; to be called when all have been checked.

    + wishes: say which image the current host wants, if any; one after the other, for all hosts

    A host that is alone, or whose settings say so, has no group and builds for itself.
    """
    state = current_host.state
    with vars(state).setdefault(_RUN, RLock()):  # who comes second waits until it is known
        if _GROUPS in current_host.connector_data:
            return
        hosts = [
            one
            for one in state.inventory
            if one in state.active_hosts
            and preflight.passed(one)
            and processes.reachable(one)
            and _GROUPS not in one.connector_data
        ]
        for one in hosts:
            one.connector_data[_GROUPS] = {}
        sharing = [one for one in hosts if settings_for(one).images.share]
        alone = len(sharing) == 1 and not settings_for(sharing[0]).images.registry.address
        finder = in_registry.Finder()
        for function in () if alone else wishes:
            _arrange(sharing, function, finder)


def _arrange(hosts: Sequence[Host], function: Wishes, finder: in_registry.Finder) -> None:
    wishes: dict[Host, Wish] = {}
    wants: dict[Host, Want] = {}
    for one in hosts:
        settings = settings_for(one)
        with ctx_host.use(one):
            wish = function(settings)
            machine = snapshot.of(System).machine
        if wish:
            wishes[one] = wish
            has = (wish.there.id, wish.there.inputs) if wish.there else (None, None)
            where = settings.images.registry.address or ""
            wants[one] = Want(one, wish.tag, machine, wish.accepted, has[0], has[1], where)

    def kept(want: Want, inputs: str) -> Stored | None:
        return finder.find(settings_for(want.host), want.tag, inputs, want.architecture)

    def choose(want: Want) -> str:
        there = next((one for one in want.accepted if kept(want, one)), None)
        with ctx_host.use(want.host):
            return there or wishes[want.host].choose()

    for wanting, found in grouped(list(wants.values()), choose).items():
        if not found.sources and (there := kept(wants[wanting], found.inputs)):
            found.sources[there] = there.image
        if len(found.members) + len(found.sources) > 1 or found.registry:
            wanting.connector_data[_GROUPS][found.tag] = found


def group(tag: str) -> Group | None:
    """Return the current host's group for a tag; None if no other host has the same image."""
    found: Group | None = current_host.connector_data.get(_GROUPS, {}).get(tag)
    return found


def receives(tag: str) -> bool:
    """Return whether the current host is planned to get an image from another one."""
    found = group(tag)
    return found is not None and found.expected is not this()


def note(tag: str, image: str | None) -> None:
    """Note that the current host has the image of a tag already."""
    found = group(tag)
    if found and image:
        found.has(this(), image)


def giver(found: Group, without: Collection[Giver] = ()) -> Giver:
    """Return who gives an image to the current host, itself if it builds it; see `Group.next`."""
    return found.next(this(), _alive, _coming, without)


def this() -> Host:
    """Return the current host itself, not the name that stands for whichever is current."""
    return cast(Host, ctx_host.get())


def _alive(host: Host) -> bool:
    return bool(host.connected) and host not in host.state.failed_hosts


def _coming(host: Host) -> bool:
    return notes.of(host).begun
