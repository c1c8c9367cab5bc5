"""Images through the registry that the settings name.

The engines push and pull. The login of a registry travels on standard input to the engine's API,
so that it is in no argument and in no file of a host. Where a registry does not do, the image goes
from host to host as without one.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable

from pyinfra import logger
from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.host import Host
from pyinfra.context import ctx_host

from operations.base import preflight
from operations.base.preflight import Problem
from operations.images import scripts
from operations.images.sharing import groups, in_registry, processes
from operations.images.sharing.groups import Group
from operations.images.sharing.in_registry import Stored
from operations.images.sharing.processes import ChannelError
from toolkit import credentials, oci, patterns
from toolkit.patterns import matches, shown
from toolkit.settings import Settings, settings_for

_STORED = re.compile(
    rf"^stored (?P<digest>{patterns.DIGEST}) (?P<inputs>{patterns.INPUTS})"
    rf" (?:-|(?P<image>{patterns.DIGEST}))$",
    re.MULTILINE,
)


class RegistryError(PyinfraError):
    """A registry cannot take or give an image; the message says which one and why."""


@preflight.check
def login_problems(settings: Settings) -> Iterable[Problem]:
    if reference := settings.images.registry.password:
        try:
            credentials.read(reference)
        except credentials.CredentialError as error:
            yield Problem(f"images.registry.password: {error}", "set it, or remove the login")


def pushed(group: Group, giver: Host) -> Stored | None:
    """Return where the group's registry has the image of `giver`, which pushes it first if nobody
    has yet; None without a registry, and where it does not do.
    """
    if not group.registry:
        return None
    with group.pushing, ctx_host.use(giver):
        if group.stored is None and not group.silent:
            try:
                group.stored = _push(group, giver)
            except PyinfraError as error:
                group.silent = True
                logger.warning(
                    f"{giver.print_prefix}{group.tag} is not kept in a registry: {error}; it goes"
                    " from host to host"
                )
        return group.stored


def _push(group: Group, giver: Host) -> Stored:
    settings = settings_for(giver)
    repository = in_registry.repository(group.registry, group.tag)
    script = scripts.render(
        "push.sh.j2",
        settings,
        image=group.sources[giver],
        repository=repository,
        architecture=group.architecture,
        authorization=_authorization(settings),
    )
    try:
        said = processes.answer(giver, "sh -s", {}, script)
    except ChannelError as error:
        why = in_registry.reason(settings, str(error))
        raise RegistryError(f"{group.registry}: {why}") from None
    found = _STORED.search(said)
    if not found or found["inputs"] != group.inputs:
        raise RegistryError("it does not say that it has pushed the image that is wanted")
    digest, image = found["digest"], found["image"] or ""
    version = in_registry.version(group.inputs, group.architecture)
    try:
        in_registry.keep(settings, repository, version, digest)
    except oci.RegistryError as error:
        raise RegistryError(f"{group.registry}: {error}") from None
    return Stored(repository, digest, group.inputs, image)


def pull(
    settings: Settings, kept: Stored, tag: str, probe: str, environment: dict[str, str]
) -> str:
    """Bring an image from a registry to the current host, and give it its tag; return its id.

    + probe: the script that a new image must pass

    Raises:
        RegistryError: the host did not get it.
    """
    host = groups.this()
    script = scripts.render(
        "receive.sh.j2",
        settings,
        repository=kept.repository,
        digest=kept.digest,
        image=kept.image,
        inputs=kept.inputs,
        tag=tag,
        probe=probe,
        authorization=_authorization(settings),
    )
    try:
        said = processes.answer(host, "sh -s", environment, script)
    except ChannelError as error:
        why = in_registry.reason(settings, str(error))
        raise RegistryError(f"{kept.repository}: {why}") from None
    image = said.rpartition("received ")[2].strip()
    if not matches(patterns.DIGEST, image):
        raise RegistryError(f"{host}: {shown(image)} is not an image's id")
    return image


def _authorization(settings: Settings) -> str:
    """Return the login as the engine's API takes it.

    https://docs.docker.com/reference/api/engine/ (Authentication)
    """
    login = dict(zip(("username", "password"), in_registry.login(settings) or (), strict=False))
    return base64.urlsafe_b64encode(json.dumps(login).encode()).decode()
