"""`.env`: the gateway's token, the credentials of the settings, and what Compose must know."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass
from shlex import quote

from pyinfra import host
from pyinfra.api.deploy import deploy

from operations import project
from operations.base import files, preflight, snapshot
from operations.base.operation import operation
from operations.gateway import environment_file, host_secrets
from operations.gateway.front import TOKEN
from toolkit import credentials, dotenv
from toolkit.settings import Settings

_LOOPBACK = re.compile(r"^(\w+://)?([^/@]*@)?(localhost|127\.[\d.]+|\[::1\])(:|/|$)")
SHORTEST_TOKEN = 24
"""OpenClaw's `security audit` warns of shorter ones (`gateway.token_too_short`)."""
HEADER = "# Secrets of the OpenClaw gateway, read by Docker Compose. Your own lines stay.\n"


@dataclass(frozen=True)
class Plan:
    """`.env` as it should be; without the token's line when `make_token`: the host appends it."""

    text: str
    make_token: bool


@preflight.check
def secret_problems(settings: Settings) -> Iterable[preflight.Problem]:
    for message in credentials.read_all(settings.credentials)[1]:
        yield preflight.Problem(message, "set it, or remove the credential from the settings")
    if TOKEN in settings.credentials:
        return
    content, path = host_secrets.read(settings), host_secrets.environment_path(settings)
    try:
        there = content.variables()
    except host_secrets.UnreadableFile as error:
        yield preflight.Problem(
            f"{path}: {error}",
            f"mend the line, or move the file away: mv {quote(path)} {quote(path)}.broken",
        )
        return
    token = there.get(TOKEN)
    if token is not None and len(token) < SHORTEST_TOKEN:
        yield preflight.Problem(
            f"{path}: {TOKEN} has {len(token)} characters; {SHORTEST_TOKEN} is the least",
            "delete the line to have a token made, or set one: openssl rand -hex 32",
        )
    try:
        configured = plaintext_token(content.configuration())
    except host_secrets.UnreadableFile:
        return  # reported with the gateway's configuration
    if token and configured and token != configured:
        yield preflight.Problem(
            f"two different gateway tokens: {TOKEN} in {path} and gateway.auth.token in "
            f"{host_secrets.config_path(settings)}",
            "keep the one that your devices use and delete the other: the line in .env, or the "
            "key in openclaw.json",
        )
    if not token and configured and len(configured) < SHORTEST_TOKEN:
        yield preflight.Problem(
            f"{host_secrets.config_path(settings)}: gateway.auth.token has {len(configured)} "
            f"characters; {SHORTEST_TOKEN} is the least",
            "delete the key to have a token made, or set a longer one",
        )


def plaintext_token(configuration: dict) -> str | None:
    """Return `gateway.auth.token` if it is a token itself, not a reference to one."""
    value: object = configuration
    for key in ("gateway", "auth", "token"):
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, str) and value and "${" not in value else None


def plan(settings: Settings) -> Plan:
    """Return what `.env` on the current host should be.

    A token found in `.env`, else as plaintext in openclaw.json, is kept; with neither, the host
    makes one.
    """
    content = host_secrets.read(settings)
    text = content.environment_text() or HEADER
    wanted = dict(credentials.read_all(settings.credentials)[0])
    there = dotenv.values(text)
    adopted = there.get(TOKEN) or plaintext_token(content.configuration())
    if TOKEN not in wanted and adopted:
        wanted[TOKEN] = adopted
    if settings.trust_host_cas:
        wanted = missing_proxies(content.proxies, there) | wanted
    names = project.compose_files(settings.project_directory, settings.mounts_more)
    text = environment_file.with_compose_file(dotenv.edit(text, wanted), names)
    return Plan(text, TOKEN not in wanted)


def missing_proxies(of_host: Mapping[str, str], there: Mapping[str, str]) -> dict[str, str]:
    """Return the host's proxy variables that `.env` does not have yet.

    They are taken over once and then the user's to change: what a later run finds depends on the
    shell that it is started from. A proxy on the host's own loopback is none for a container.
    """
    known = {key.lower() for key in there}
    usable = {
        key: value
        for key, value in of_host.items()
        if key.lower() not in known and not _LOOPBACK.search(value)
    }
    if not any(key.lower() != "no_proxy" for key in usable):
        return {}
    if not any(key.lower() == "no_proxy" for key in (*usable, *there)):
        usable["NO_PROXY"] = "localhost,127.0.0.1,::1"
    return usable


def keyed_digest(text: str) -> str:
    """Return a digest of the variables in a `.env` text that does not help to guess them.

    It is keyed with the gateway's token; comments, order and Compose's own variables do not count.
    """
    found = dotenv.values(text)
    counted = sorted((key, value) for key, value in found.items() if not key.startswith("COMPOSE_"))
    return hmac.new(
        found.get(TOKEN, "").encode(), repr(counted).encode(), hashlib.sha256
    ).hexdigest()


@operation
def written(settings: Settings) -> Generator:
    """Write `.env` with what is missing; what the user wrote there stays.

    + settings: the settings of the host
    """
    path = host_secrets.environment_path(settings)
    wanted = plan(settings)
    current = host_secrets.read(settings).environment
    good = snapshot.of(host_secrets.Kept).private
    if not wanted.make_token and good and current == wanted.text.encode():
        host.noop(f"{path} is as it should be")
        return
    make = f"{made_on_host()} >>{files.NEW}" if wanted.make_token else ""
    yield files.replace_command(path, current, wanted.text, make)


def made_on_host() -> str:
    """Return the shell command that writes the line of a new token.

    The host makes it, and it passes through no argument: printf is built in.
    """
    return f"printf '{TOKEN}=%s\\n' \"$(od -An -N32 -v -tx1 /dev/urandom | tr -d ' \\n')\""


@deploy("Secrets")
def write(settings: Settings) -> None:
    """Make the gateway's token once and put the credentials into `.env`."""
    written(name="Write the token and the credentials to .env", settings=settings)
