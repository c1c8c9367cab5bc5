"""A new token, made on the host, in place of the old one; or one credential, read again.

Only this replaces the token. What shall be `.env` is made beside it, and from there the swap's
script (`activation`, `templates/compose/rotation.sh.j2`) goes on: it puts the file in place with
the label of a gateway that has it, recreates the gateway, goes back to both of before if that does
not become ready, and asks at last with the old token and with the new one.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Generator, Iterable
from shlex import quote
from weakref import WeakKeyDictionary

from pyinfra import host
from pyinfra.api import StringCommand
from pyinfra.api.deploy import deploy
from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.state import State

from operations import activation
from operations.backup import listing
from operations.base import files, notes, snapshot
from operations.base.answers import printable
from operations.base.operation import operation
from operations.base.preflight import Problem
from operations.gateway import form, host_secrets, secrets
from operations.gateway.front import TOKEN
from operations.lifecycle import power
from toolkit import credentials, dotenv
from toolkit.credentials import CredentialError
from toolkit.settings import Settings

NAMED = 8
"""How many backups are named, the newest first."""
_chosen: WeakKeyDictionary[State, str] = WeakKeyDictionary()


def choose(state: State, credential: str) -> None:
    """Have a run bring the credential of that name, instead of a new token."""
    _chosen[state] = credential


def chosen() -> str:
    """Return the name of the credential that is rotated on the current host; '': the token."""
    return _chosen.get(host.state, "")


def problems(settings: Settings) -> Iterable[Problem]:
    """Say why nothing can be rotated here."""
    yield from power.problems(settings)
    there, name = activation.running(), chosen()
    if name:
        yield from _credential_problems(settings, name)
    elif settings.exposure.profile == "proxy":
        yield Problem(
            "with exposure.proxy nobody comes in by a token, which the gateway does not have",
            "take access away at the proxy, and in exposure.proxy.users",
        )
    elif TOKEN in settings.credentials:
        yield Problem(
            f"the token comes from the inventory, credentials.{TOKEN}",
            f"put another one there, then ./claw rotate --credential {TOKEN}",
        )
    if not there.status or activation.ROTATING in there.unfinished:
        return
    if there.status != "running":
        yield Problem(f"the gateway is {there.status}", "./claw start starts it")
    if there.unfinished:
        yield activation.RUN_INTERRUPTED
    elif there.image != there.wanted_image:
        yield Problem("another image waits to be run", "./claw up does that")
    content = host_secrets.read(settings)
    try:
        if TOKEN not in content.variables():
            path = host_secrets.environment_path(settings)
            yield Problem(f"there is no {TOKEN} in {path}", "./claw up makes it")
        if secrets.plaintext_token(content.configuration()):
            yield Problem(
                f"{host_secrets.config_path(settings)}: gateway.auth.token is a token itself",
                "./claw up makes it a reference",
            )
    except host_secrets.UnreadableFile as error:
        yield Problem(f"a file of the deployment: {error}", "./claw up says how to mend it")


def _credential_problems(settings: Settings, name: str) -> Iterable[Problem]:
    reference = settings.credentials.get(name)
    if reference is None:
        there = ", ".join(sorted(settings.credentials)) or "none"
        yield Problem(f"there is no credential {printable(name)}; there are: {there}", "name one")
        return
    try:
        credentials.read(reference)
    except CredentialError as error:
        yield Problem(f"credentials.{name}: {error}", "set it, then run again")


@operation
def rotated(settings: Settings) -> Generator:
    """Make a new token, or read a credential again, and have the gateway run with it.

    + settings: the settings of the host

    A rotation that was interrupted is gone through with instead.
    """
    name = chosen()
    if activation.ROTATING in activation.running().unfinished:
        notes.of(host).plan.append("an earlier one was interrupted: it is finished, no other begun")
        yield activation.run(settings, "rotate")
        yield from _told(settings)
        return
    content = host_secrets.read(settings)
    text, value = content.environment_text(), ""
    if name:
        value = credentials.read(settings.credentials[name])
        if dotenv.values(text).get(name) == value:
            host.noop(f"{name} is what the reference stands for")
            return
    notes.of(host).plan += _copies(settings, name)
    yield _prepare(settings, text, name, value)
    yield _label(settings)
    yield activation.run(settings, "rotate")
    yield from _told(settings)


@deploy("Rotation")
def rotate(settings: Settings) -> None:
    """Replace the token, or one credential."""
    what = chosen() or "the gateway's token"
    rotated(name=f"Replace {what}", settings=settings)


def _copies(settings: Settings, name: str) -> Iterable[str]:
    project = settings.project_directory
    yield "the gateway restarts: a turn that is running is finished first"
    yield f"replaced in: {project}/.env, the gateway's own variables, {project}/last-good/.env"
    yield "and in the .env of each generation that ./claw rollback goes back to"
    if name and name != TOKEN:
        return
    yield "OpenClaw's command line on the host takes it from .env"
    yield "paired devices have tokens of their own; a browser's goes with the token that paired it"
    yield "clients with the old token in hand: give them that of ./claw token"
    if settings.backup.repository:
        yield f"backups in {settings.backup.repository} have the old one, which opens nothing"


def _prepare(settings: Settings, text: str, name: str, value: str) -> StringCommand:
    """Return the command that makes `run/rotate` with what shall be `.env`."""
    directory = quote(f"{settings.project_directory}/run/rotate")
    text += "" if text.endswith("\n") else "\n"
    was = hashlib.sha256(host_secrets.read(settings).environment or b"").hexdigest()
    if name:
        content, make = dotenv.edit(text, {name: value}), ""
        digest = hashlib.sha256(value.encode()).hexdigest()
        named = f" && printf %s {quote(name)} >{directory}/name && read -r digest"
        given, named = f"{digest}\n", f'{named} && printf %s "$digest" >{directory}/value'
    else:
        content, make = dotenv.edit(text, {}, unwanted=[TOKEN]), f" && {secrets.made_on_host()}"
        make, given, named = f"{make} >>{directory}/new", "", ""
    return StringCommand(
        f"umask 077 && rm -rf {directory} && mkdir {directory} && printf %s {was} >{directory}/was"
        f"{named} && {files.received(f'{directory}/new', content)}{make}",
        _stdin=[f"{given}{content}"],
    )


def _label(settings: Settings) -> StringCommand:
    """Return the command that notes the label of a gateway with the new `.env`.

    All else it gets as the files on the host say, whatever the settings say by now: a run that has
    the settings of those files computes the same, and changes nothing.
    """
    directory = quote(f"{settings.project_directory}/run/rotate")
    label = ""
    if host.state.is_executing:
        one = form.of(settings)
        paths = " ".join(map(quote, one.labelled(settings)))
        said = snapshot.read_quietly(
            host,
            f"for path in {paths} {directory}/new; do"
            ' [ ! -e "$path" ] || base64 -w0 <"$path" || exit 1; echo; done',
        )
        *texts, new = (base64.b64decode(line).decode() for line in said.splitlines())
        label = one.label(settings, texts, new)
    return StringCommand(f"umask 077 && printf %s {quote(label)} >{directory}/label")


def _told(settings: Settings) -> Generator:
    """Keep what the script said of it for the summary."""
    wanted = ("old token: ", "new token: ", "still has the old token: ", "paired: ")
    notes.of(host).outcome += activation.said(
        settings.project_directory, (*wanted, f"{chosen()}: ") if chosen() else wanted
    )
    if host.state.is_executing and chosen() in ("", TOKEN) and settings.backup.repository:
        notes.of(host).outcome += _backups(settings)
    yield from ()


def _backups(settings: Settings) -> list[str]:
    """Return which backups of the host still have the old token: all of them."""
    where = settings.backup.repository
    try:
        found = listing.ask(host, settings, "./claw up").backups
    except PyinfraError as error:
        return [f"still have the old token: the backups in {where}; {printable(str(error))}"]
    newest = [f"{one.id} of {one.created[:16]}" for one in reversed(found)]
    more = f" and {len(newest) - NAMED} more" if len(newest) > NAMED else ""
    named = f"{', '.join(newest[:NAMED])}{more}"
    return [f"still have the old token, in {where}: backups {named}"] if newest else []
