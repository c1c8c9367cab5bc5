"""`./claw trust`: looks at the keys of hosts, shows them, and writes those that are accepted."""

from __future__ import annotations

from typing import Any

import click
from pyinfra.api.host import Host
from pyinfra.connectors.ssh import SSHConnector

from commandline import asking, host_keys
from commandline.host_keys import HostKeyError, Keys
from commandline.options import ERRORS, examples, fail, has_terminal, leave, target_options
from commandline.results import FAILED
from commandline.screen.given import Given
from toolkit import terminal
from toolkit.settings.sources.machines import machine
from toolkit.ssh import PKey

COMPARE = (
    "Compare with what the host says of itself, on its console or where it was made:\n"
    "    for key in /etc/ssh/ssh_host_*.pub; do ssh-keygen -lf $key; done"
)


@click.command(
    epilog=examples(
        "./claw trust root@203.0.113.7",
        "./claw trust inventories/fleet.yml --fingerprint SHA256:...",
    )
)
@target_options
@click.option("-y", "--yes", is_flag=True, help="Do not ask before writing new keys.")
@click.option(
    "--fingerprint",
    "fingerprints",
    multiple=True,
    metavar="SHA256:...",
    help="Accept only a key with this fingerprint, and without asking (repeatable).",
)
@click.option("--replace", is_flag=True, help="Also accept a key in place of another.")
def trust(
    target: str | None, yes: bool, fingerprints: tuple[str, ...], replace: bool, **options: Any
) -> None:
    """Show the keys of new hosts, and write them to known_hosts.

    `./claw` connects to no host whose key is not there. A key that has changed is never
    replaced without --replace.

    \b
    Exit code 0 if the keys of all hosts are known now, else 1.
    """
    wrong = [one for one in fingerprints if not one.startswith("SHA256:")]
    if wrong:
        fail(f"--fingerprint {wrong[0]}: accepted: SHA256:..., as ssh-keygen -lf prints it")
    given = Given.of(target, options)
    session = asking.opened(target, **options)
    hosts = _one_of_each(session.hosts)
    if not hosts:
        fail(f"target {target or '@local'}: none of its hosts is reached by SSH, so none has a key")
    chosen: list[tuple[Keys, tuple[PKey, ...]]] = []
    failed = False
    with session.display, session.display.phase("Asking for host keys"):
        scanned = session.on_each(hosts, _scan)
    for host, keys in scanned.items():
        try:
            if isinstance(keys, HostKeyError):
                raise keys
            if accepted := _acceptable(host.name, keys, fingerprints, replace, given):
                chosen.append((keys, accepted))
        except HostKeyError as error:
            _error(f"{host.name}: {error}")
            failed = True
    if chosen and not (yes or fingerprints) and not _accepted(len(chosen)):
        _error("Nothing was written.")
        leave(FAILED)
    for keys, accepted in chosen:
        try:
            host_keys.write(keys, accepted)
        except HostKeyError as error:
            _error(f"{keys.name}: {error}")
            failed = True
        else:
            print(f"{keys.name}: written to {keys.files[0]}")
    leave(FAILED if failed else 0)


def _acceptable(
    name: str, keys: Keys, fingerprints: tuple[str, ...], replace: bool, given: Given
) -> tuple[PKey, ...]:
    """Show the keys of a host and return those to write, none if it is known.

    Raises:
        HostKeyError: another key is known, or none has a fingerprint that was asked for.
    """
    if keys.state == "known":
        print(f"{name}: its key is known ({_digest(keys)})")
        return ()
    if keys.state == "changed":
        _show_changed(name, keys, replace)
    else:
        print(f"{name}: a new host key, for {keys.files[0]}")
    for key in keys.offered:
        print(f"    {host_keys.fingerprint(key, keys.name)}")
    if keys.state == "changed" and not replace:
        replaces = given.for_host("trust", name, "--replace")
        raise HostKeyError(f"nothing was written; if you know why it changed: {replaces}")
    accepted = tuple(
        key for key in keys.offered if not fingerprints or key.fingerprint in fingerprints
    )
    if not accepted:
        raise HostKeyError("none of its keys has the fingerprint; nothing was written")
    return accepted


def _one_of_each(hosts: list[Host]) -> list[Host]:
    """Return the hosts over SSH, of several deployments on one machine the first."""
    found: dict[tuple[str, str | None], Host] = {}
    for host in hosts:
        if issubclass(host.connector_cls, SSHConnector):
            found.setdefault((machine(host), host.data.get("ssh_known_hosts_file")), host)
    return list(found.values())


def _scan(host: Host) -> Keys | HostKeyError:
    try:
        return host_keys.scan(host)
    except HostKeyError as error:
        return error


def _show_changed(name: str, keys: Keys, replace: bool) -> None:
    _error(
        f"WARNING: the host key of {name} has CHANGED. Either the machine was made anew, or "
        "somebody is between it and you."
    )
    print(f"{name}: known until now, from {', '.join(map(str, keys.files))}")
    for key in keys.known:
        print(f"    {host_keys.fingerprint(key, keys.name)}")
    print(f"{name}: offered now{', to take their place' if replace else ''}")


def _accepted(number: int) -> bool:
    if not has_terminal():
        fail("a new host key is for you to accept: -y, or --fingerprint SHA256:... (compare first)")
    print(COMPARE)
    which = "this host's keys" if number == 1 else f"the keys of these {number} hosts"
    return terminal.ask(f"Write {which}? [y/N] ").strip().lower() in ("y", "yes")


def _digest(keys: Keys) -> str:
    known = {key.get_name(): key for key in keys.known}
    same = next(key for key in keys.offered if known.get(key.get_name()) == key)
    return f"{same.fingerprint}, {same.algorithm_name}"


def _error(text: str) -> None:
    ERRORS.print(text, style="bold red")
