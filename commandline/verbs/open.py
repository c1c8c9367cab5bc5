"""`./claw open`: the Control UI in a browser, through an SSH tunnel while it is wanted."""

from __future__ import annotations

import html
import json
import os
import re
import shlex
import signal
import socket
import sys
import tempfile
import webbrowser
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import click
from pyinfra.api.host import Host
from pyinfra.connectors.ssh import SSHConnector

from commandline import asking, targets
from commandline.asking import VerbError
from commandline.options import ERRORS, examples, fail, leave, target_options
from commandline.results import FAILED
from commandline.screen.given import Given
from commandline.verbs.cli import missing
from operations.base import connection, snapshot
from operations.gateway import form
from toolkit import greenlets
from toolkit.greenlets import Popen
from toolkit.settings import settings_for

DASHBOARD_SECONDS = 180
"""OpenClaw's command line takes 5 s of CPU to start, minutes on a busy host."""
READ_SECONDS = 15
"""How long a browser may take to start and read a file, where no tunnel is kept open for it."""
REFUSED = (
    "its sshd forwards nothing to 127.0.0.1:{port}. To allow no more than that, as root there: echo"
    " AllowTcpForwarding local >/etc/ssh/sshd_config.d/00-openclaw.conf && systemctl reload ssh"
    " (what else may refuse: docs/hosts.md, A tunnel to the gateway)"
)


@click.command("open", epilog=examples("./claw open root@203.0.113.7"))
@click.option("--no-browser", is_flag=True, help="Print the link instead of opening it.")
@target_options
def open_control_ui(target: str | None, no_browser: bool, **options: Any) -> None:
    """Open the Control UI in a browser, through an SSH tunnel.

    The browser gets OpenClaw's one-time link, which is valid for ten minutes and then for this
    browser alone; without a browser here, it is printed. Ctrl-C closes the tunnel.
    """
    given, session = Given.of(target, options), asking.opened(target, **options, moving=True)
    if len(session.hosts) > 1:
        fail("a browser is opened for one host; choose it with --limit HOST")
    host = session.hosts[0]
    port = settings_for(host).gateway.port
    local = targets.is_local(host)
    if not local and _taken(port):
        # Another one of ours would be another origin, which the gateway refuses.
        fail(f"port {port} of this machine is in use, perhaps by another tunnel; close that first")
    up = given.for_host("up", host.name)
    answers = asking.ask(session, lambda one: link(one, up), "Asking for a one-time link")
    asking.print_errors(answers)
    found = answers[host.name]
    if found.error:
        leave(FAILED)
    tunnel = None if local else _tunnel(host, port)
    page = None if no_browser or not _has_browser() else _page(found.value)
    if page is None or not webbrowser.open(page.as_uri()):
        print(found.value, flush=True)
    if tunnel:
        _wait(tunnel, host, page)
    if page:
        greenlets.sleep(READ_SECONDS)
        _forget(page)
    leave(0)


def link(host: Host, up: str) -> str:
    """Return OpenClaw's one-time link to the Control UI of a host, as a tunnel leads to it.

    Raises:
        VerbError: the host's sshd forwards nothing there, or OpenClaw gives no link.
    """
    settings = settings_for(host)
    port = settings.gateway.port
    if settings.exposure.proxy.origin:
        raise VerbError(f"the way in is the proxy: {settings.exposure.proxy.origin}/")
    if not connection.forwards(host, port):
        raise VerbError(REFUSED.format(port=port))
    line = form.of(settings).cli(settings, ("dashboard", "--json"), False, missing(settings, up))
    command = f"sh -c {shlex.quote(line)} </dev/null"
    return link_of(snapshot.read_quietly(host, command, DASHBOARD_SECONDS), port)


def link_of(answer: str, port: int) -> str:
    """Return the link in what `openclaw dashboard --json` says (docs of the release:
    cli/dashboard).

    Raises:
        VerbError: there is none to the gateway's port on the loopback.
    """
    try:
        said = json.loads(answer[answer.index("{") : answer.rindex("}") + 1])
    except (ValueError, RecursionError):
        said = None
    found = said.get("browserUrl") if isinstance(said, dict) else None
    if not isinstance(found, str):
        reason = said.get("reason") if isinstance(said, dict) else None
        raise VerbError(f"OpenClaw gives no link: {str(reason or 'it does not say why')[:300]}")
    if not re.fullmatch(rf"http://(127\.0\.0\.1|localhost):{port}/[!-~]{{0,4000}}", found):
        raise VerbError(f"OpenClaw's link does not lead to 127.0.0.1:{port}")
    return found


def _taken(port: int) -> bool:
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def _tunnel(host: Host, port: int) -> Popen:
    """Return OpenSSH's client, once it listens."""
    if not isinstance(host.connector, SSHConnector):
        fail(f"{host.name}: a tunnel needs SSH")
    # A connection of its own: with a shared one, the tunnel would outlive this.
    words = ["ssh", "-N", "-o", "ExitOnForwardFailure=yes", "-o", "ControlPath=none"]
    words += ["-o", "ServerAliveInterval=20", "-L", f"127.0.0.1:{port}:127.0.0.1:{port}"]
    process = Popen([*words, *targets.ssh_options(host)])
    asking.at_interruption.append(lambda: _end(process))
    while process.poll() is None:
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return process
        greenlets.sleep(0.1)
    fail(f"{host.name}: ssh ended at once, and says above why")


def _has_browser() -> bool:
    """Whether a browser with a window can be opened; Python would take one for a terminal, too."""
    variables = ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY")
    return sys.platform in ("darwin", "win32") or any(os.environ.get(one) for one in variables)


def _page(url: str) -> Path:
    """Return a file of the user's alone that leads to `url`, which so is in no list of processes.

    Jupyter opens its token's link likewise.
    """
    # Not in a hidden directory, nor in /tmp: a browser that is a snap or a flatpak sees neither.
    home = Path.home()
    folder = tempfile.mkdtemp(prefix="claw-open-", dir=home if os.access(home, os.W_OK) else None)
    page = Path(folder) / "open.html"
    target = html.escape(url, quote=True)
    text = f'<!doctype html><meta http-equiv="refresh" content="0; url={target}">\n'
    page.touch(mode=0o600)
    page.write_text(text, encoding="utf-8")
    asking.at_interruption.append(lambda: _forget(page))
    return page


def _end(process: Popen) -> None:
    if process.poll() is None:
        process.terminate()


def _forget(page: Path) -> None:
    with suppress(OSError):
        page.unlink()
        page.parent.rmdir()


def _wait(tunnel: Popen, host: Host, page: Path | None) -> NoReturn:
    """Leave when the tunnel ends: with 0 by Ctrl-C, which is how it is closed."""
    asking.at_interruption.append(lambda: leave(0))
    ERRORS.print(f"{host.name}: the tunnel is open; Ctrl-C closes it", markup=False)
    code = tunnel.wait()
    if page:
        _forget(page)
    # Ctrl-C reaches ssh, too, and may end it first.
    leave(0 if code in (-signal.SIGINT, 128 + signal.SIGINT) else FAILED)
