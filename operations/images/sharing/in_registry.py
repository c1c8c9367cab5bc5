"""Images in a registry: what they are called there, and which of them are there already."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pyinfra import logger

from operations.images import identity
from toolkit import credentials, lockfile, oci
from toolkit.lockfile import LockError
from toolkit.settings import Settings


@dataclass(frozen=True, eq=False)
class Stored:
    """An image in a registry.

    `repository` begins with the registry's address. `image` is the id under which the host that
    pushed it has it, empty if that is not known.
    """

    repository: str
    digest: str
    inputs: str = ""
    image: str = ""

    def __str__(self) -> str:
        return self.repository


def repository(address: str, tag: str) -> str:
    """Return the repository of a tag's images in the registry at an address."""
    return f"{address}/{identity.repository(tag)}"


def version(inputs: str, architecture: str) -> str:
    """Return the tag in a registry of an image that is known by the digest of its inputs."""
    return f"{inputs}-{architecture}"


def login(settings: Settings) -> tuple[str, str] | None:
    """Return user and password of the registry that the settings name, if they name any.

    Raises:
        CredentialError: the password cannot be read.
    """
    registry = settings.images.registry
    if registry.username and registry.password:
        return registry.username, credentials.read(registry.password)
    return None


class Finder:
    """Finds images in registries; each is looked for once in a run."""

    def __init__(self) -> None:
        self._found: dict[str, Stored | None] = {}
        self._silent: set[str] = set()

    def find(self, settings: Settings, tag: str, inputs: str, architecture: str) -> Stored | None:
        """Return the image that the lock knows to be in the registry of the settings, or that the
        registry says it has.

        Raises:
            LockError: a lock cannot be read.
        """
        where = settings.images.registry.address
        if not where:
            return None
        name, label = repository(where, tag), version(inputs, architecture)
        reference = f"{name}:{label}"
        if reference not in self._found:
            digest = lockfile.read().images.get(reference) or self._asked(
                settings, where, name, label
            )
            self._found[reference] = Stored(name, digest, inputs) if digest else None
        return self._found[reference]

    def _asked(self, settings: Settings, where: str, name: str, label: str) -> str | None:
        if where in self._silent:
            return None
        try:
            return _ask(settings, name, label)
        except oci.RegistryError as error:
            self._silent.add(where)
            logger.warning(
                f"{where} cannot be asked from here for images that it has:"
                f" {reason(settings, str(error))}"
            )
            return None


def keep(settings: Settings, repository: str, version: str, digest: str) -> None:
    """Note in the lock under which digest a host says that it has pushed an image.

    What the lock says already stays, unless the registry itself says that it has lost that.

    Raises:
        RegistryError: the lock knows another one, which the registry may still have.
        LockError: the lock cannot be read.
    """
    reference = f"{repository}:{version}"
    entry, known = {reference: digest}, lockfile.read().images.get(reference)
    try:
        if known in (None, digest):
            lockfile.add(images=entry)
        elif _ask(settings, repository, known or "") is None:
            lockfile.record(images=entry)
        else:
            raise oci.RegistryError("the lock knows another digest of it, and it has that, too")
    except LockError as error:
        logger.warning(f"{error}; the next host resolves anew")


def _ask(settings: Settings, repository: str, version: str) -> str | None:
    host = repository.partition("/")[0]
    insecure = settings.engine.daemon.get("insecure-registries") or ()
    plain = oci.loopback(host) or host in insecure
    return oci.digest(repository, version, login(settings), plain)


def reason(settings: Settings, said: str) -> str:
    """Return why a registry or an engine refused, in words that name what to change."""
    user = settings.images.registry.username
    refused = "unauthorized|authentication required|no basic auth|incorrect username"
    if re.search(refused, said):
        return (
            "it refuses the login: check images.registry.username and images.registry.password"
            if user
            else "it wants a login: set images.registry.username and images.registry.password"
        )
    if re.search("denied|insufficient_scope|forbidden", said, re.IGNORECASE):
        return f"it does not allow that to {user or 'somebody without a login'} ({said})"
    if "server gave HTTP response to HTTPS client" in said:
        return "it speaks plain HTTP: name it in engine.daemon, insecure-registries"
    if "x509:" in said:
        return f"the engine does not trust its certificate; add its CA on the host ({said})"
    if re.search("manifest unknown|name unknown|not found", said):
        return f"it does not have the image any more ({said})"
    return said
