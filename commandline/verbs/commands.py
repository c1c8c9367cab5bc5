"""The verbs on hosts that are deployed: they read, or hand the user over to OpenClaw's own CLI."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gevent
from gevent.subprocess import PIPE, Popen
from paramiko import SSHException
from pyinfra.api import StringCommand
from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.host import Host
from pyinfra.connectors.ssh import SSHConnector

from commandline import targets
from commandline.errors import explain
from commandline.run.session import Session
from operations import engine_access, project
from operations.base import answers, snapshot, templates
from operations.gateway import host_secrets, runtime, secrets, service
from operations.gateway.host_secrets import UnreadableFile
from toolkit import dotenv, terminal
from toolkit.dotenv import DotenvError
from toolkit.settings import Settings, settings_for

OF_A_HOST = (PyinfraError, OSError, EOFError, SSHException, DotenvError, UnreadableFile)
EXIT_MARK = "\x1eexit "
_ONCE = ("run", "--rm", "--no-deps")


class VerbError(PyinfraError):
    """A verb cannot do what it is for on a host; the message does not name the host."""


@dataclass(frozen=True)
class Answer:
    """What a host answered, or why it did not."""

    value: Any = None
    error: str | None = None


def ask(session: Session, question: Callable[[Host], Any], what: str) -> dict[str, Answer]:
    """Connect to the hosts of an opened session and ask all at once; answers by host name.

    `what` is shown while they are waited for.
    """
    with session.display:
        return _asked(session, question, what)


def _asked(session: Session, question: Callable[[Host], Any], what: str) -> dict[str, Answer]:
    with session.display.phase("Connecting"):
        session.connect()
    answers = {name: Answer(error=reason) for name, reason in session.unreachable.items()}

    def one(host: Host) -> Answer:
        try:
            return Answer(question(host))
        except OF_A_HOST as error:
            said = str(error).removeprefix(f"{host.name}: ") or type(error).__name__
            return Answer(error=session.options.given.completed(said, host.name))
        except Exception as error:
            return Answer(error=explain(error))

    with session.display.phase(what):
        found = session.on_each(session.active, one)
    answers |= {host.name: answer for host, answer in found.items()}
    session.close()
    return {host.name: answers[host.name] for host in session.hosts}


def token(host: Host) -> str:
    """Return the gateway's token; raises `VerbError` if the host has none."""
    settings = settings_for(host)
    path = host_secrets.environment_path(settings)
    text = snapshot.read_quietly(host, f"cat {shlex.quote(path)} 2>/dev/null || true")
    value = dotenv.values(text).get(secrets.TOKEN)
    if not value:
        raise VerbError(f"there is no {secrets.TOKEN} in {path}; ./claw up makes it")
    return value


def status(host: Host) -> dict[str, Any]:
    """Return what runs on a host: versions, the container, its image, its ports, readiness."""
    settings = settings_for(host)
    address = settings.gateway.address
    if address in ("0.0.0.0", "::"):
        address = "127.0.0.1"
    script = templates.render(
        "deploy/status.sh.j2",
        docker=runtime.shell(settings),
        url=f"http://{f'[{address}]' if ':' in address else address}:{settings.gateway.port}",
    )
    answer = snapshot.run_quietly(host, script)
    found = dict(line.partition("=")[::2] for line in answer.splitlines())
    digests = json.loads(found.get("digests") or "null") or []
    return {
        "deployment": settings.name,
        "deployed": found.get("deployed") == "yes",
        "engine": found.get("engine") or None,
        "compose": found.get("compose") or None,
        "openclaw": _given(found.get("package")) or _given(found.get("version")),
        "state": found.get("state"),
        "health": found.get("health") or None,
        "started": found.get("started", ""),
        "restarts": int(found.get("restarts") or 0),
        "image": found.get("image"),
        "image_digest": str(digests[0]) if digests else found.get("image_id"),
        "image_inputs": _given(found.get("inputs")),
        "ports": published(json.loads(found.get("ports") or "null") or {}),
        "ready": found.get("readyz") == "200" if found.get("readyz") else None,
    }


def published(ports: dict[str, list[dict[str, str]] | None]) -> list[str]:
    """Return Docker's map of ports as `ADDRESS:PORT->PORT/PROTOCOL`."""
    return [
        f"{binding['HostIp']}:{binding['HostPort']}->{inside}"
        for inside, bindings in sorted(ports.items())
        for binding in bindings or ()
    ]


def compose_command(settings: Settings, up: str, *words: str) -> str:
    """Return the shell line that runs `docker compose` in the deployment's project."""
    return f"{_in_project(settings, up)}\nexec docker compose {shlex.join(words)}"


def log_command(settings: Settings, follow: bool, tail: int, up: str) -> str:
    """Return the shell line that prints the gateway's log as it is; `up` makes one.

    Not `docker compose logs`, which puts a control sequence before each line even in a pipe.
    """
    if engine_access.on_host(settings):
        command = f"gateway_log --tail {tail}{' -f' if follow else ''}"
        return f"{_service(settings, up)}\n{command}"
    words = shlex.join(["docker", "logs", "--tail", str(tail), *(["-f"] if follow else [])])
    return (
        f"{_in_project(settings, up)}\n"
        f'id=$(docker compose ps -aq {project.GATEWAY}) && [ -n "$id" ] || '
        f'{{ echo "there is no gateway container" >&2; exit 1; }}\n'
        f'exec {words} "$id"'
    )


def _service(settings: Settings, up: str) -> str:
    missing = f"echo {shlex.quote(_missing(settings, up))} >&2; exit 1"
    return f"{runtime.shell(settings)}\ngateway_deployed || {{ {missing}; }}"


def _missing(settings: Settings, up: str) -> str:
    return f"no deployment in {settings.project_directory}; {up} makes it"


def _in_project(settings: Settings, up: str) -> str:
    directory, missing = shlex.quote(settings.project_directory), _missing(settings, up)
    return (
        f"{engine_access.environment(settings)}\n"
        f"[ -e {directory}/docker-compose.yml ] || {{ echo {shlex.quote(missing)} >&2; exit 1; }}\n"
        f"cd {directory} || exit 1"
    )


def cli_command(settings: Settings, arguments: tuple[str, ...], terminal: bool, up: str) -> str:
    """Return the shell line that runs OpenClaw's CLI beside the gateway."""
    if engine_access.on_host(settings):
        words = ["sh", service.program_path(settings), *(["-t"] if terminal else [])]
        return f"{_service(settings, up)}\nexec {shlex.join([*words, 'openclaw', *arguments])}"
    mode = () if terminal else ("-T",)
    return compose_command(settings, up, *_ONCE, *mode, "openclaw-cli", *arguments)


def onboard_command(settings: Settings, arguments: tuple[str, ...], up: str) -> str:
    """Return the shell line that runs OpenClaw's wizard; without a gateway too.

    `--no-install-daemon`: it is Docker, or a unit of ours, that keeps the gateway running.
    """
    words = ("onboard", "--no-install-daemon", *arguments)
    if engine_access.on_host(settings):
        return cli_command(settings, words, terminal=True, up=up)
    beside = compose_command(settings, up, *_ONCE, "openclaw-cli", *words)
    alone = compose_command(
        settings, up, *_ONCE, "--entrypoint", "openclaw", project.GATEWAY, *words
    )
    running = (
        f"{_in_project(settings, up)}\ndocker compose ps -q --status running {project.GATEWAY}"
    )
    return f'if [ -n "$({running})" ]; then\n{beside}\nelse\n{alone}\nfi'


def as_root(command: str) -> str:
    """Return a line of any shell that runs `command` as root, by sudo where that is needed."""
    quoted = shlex.quote(command)
    line = f'if [ "$(id -u)" = 0 ]; then exec sh -c {quoted}; else exec sudo sh -c {quoted}; fi'
    return f"sh -c {answers.quoted(line)}"


def hand_over(host: Host, command: str) -> None:
    """Replace this process by a command on the host that has our terminal (or our pipes).

    On this machine a shell, elsewhere the system's `ssh -t`; its exit code becomes ours.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    if targets.is_local(host):
        os.execvp("sh", ["sh", "-c", as_root(command)])
    if not isinstance(host.connector, SSHConnector):
        raise VerbError("a terminal needs SSH or this machine")
    os.execvp("ssh", ["ssh", "-t", *targets.ssh_options(host), as_root(command)])


def show(host: Host, command: str) -> int:
    """Run a command on this machine, and return its exit code; what it says on a terminal is text.

    It has our standard input, and what of its output is not for a terminal is as it is.
    """
    with Popen(
        ["sh", "-c", as_root(command)],
        stdout=PIPE if sys.stdout.isatty() else None,
        stderr=PIPE if sys.stderr.isatty() else None,
    ) as process:
        pairs = ((process.stdout, sys.stdout), (process.stderr, sys.stderr))
        gevent.joinall([gevent.spawn(terminal.copy, pipe, to) for pipe, to in pairs if pipe])
    return int(process.returncode)


def stream(host: Host, command: str, terminal: bool = False) -> int:
    """Run a command on a connected host, its lines going where `set_echo` says; its exit code.

    With `terminal` the command ends when the connection does.
    """
    shown = f"sh -c {shlex.quote(command)}; echo {shlex.quote(EXIT_MARK)}$? >&2"
    _, output = host.run_shell_command(
        StringCommand(shown),
        print_output=True,
        print_input=False,
        _get_pty=terminal,
        **snapshot.privileges(host),
    )
    for line in reversed(output.output_lines):
        if line.startswith(EXIT_MARK):
            return int(line.removeprefix(EXIT_MARK))
    return 1


def _given(value: str | None) -> str | None:
    return None if value in (None, "", "<no value>") else value
