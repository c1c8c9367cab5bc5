"""Images in a registry: what they are called there, and which of them the lock knows."""

from __future__ import annotations

from dataclasses import dataclass

from pyinfra.api.host import Host

from operations.images import identity
from toolkit import lock
from toolkit.settings import Settings

LOCAL = "local"
"""Where hosts keep images that share them through a registry which is started for it."""


@dataclass(frozen=True, eq=False)
class Stored:
    """An image in a registry.

    `repository` begins with the registry's address; without one it is in the registry of `server`,
    which only that host reaches. `image` is the id under which the host that pushed it has it,
    empty if that is not known.
    """

    repository: str
    digest: str
    inputs: str = ""
    image: str = ""
    server: Host | None = None

    def __str__(self) -> str:
        return f"the registry on {self.server}" if self.server else self.repository


def place(settings: Settings) -> str:
    """Return where the images of a host are kept: the address of a registry, `LOCAL`, or ''."""
    registry = settings.images.registry
    return registry.address or (LOCAL if registry.local else "")


def repository(place: str, tag: str) -> str:
    """Return the repository of a tag's images in the registry at an address, or in a local one."""
    name = identity.repository(tag)
    return name if place == LOCAL else f"{place}/{name}"


def version(inputs: str, architecture: str) -> str:
    """Return the tag in a registry of an image that is known by the digest of its inputs."""
    return f"{inputs}-{architecture}"


def known(place: str, tag: str, inputs: str, architecture: str) -> Stored | None:
    """Return the image that the lock knows to be in the registry at an address.

    Raises:
        LockError: a lock cannot be read.
    """
    name = repository(place, tag)
    digest = lock.read().images.get(f"{name}:{version(inputs, architecture)}")
    return Stored(name, digest, inputs) if digest and place not in ("", LOCAL) else None
