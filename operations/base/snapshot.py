"""The state of a host, read in one round trip and valid until something changes it.

Each module of `operations/` registers a probe: a POSIX shell snippet, made from the
settings, that only reads. All probes of a host run in one script; the answers are kept
until an operation of `operations.base.operation` runs a command there.
Probes print no secrets: pyinfra shows fact output at `-vvv`.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable

from pyinfra import host as current_host
from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.host import Host
from pyinfra.api.output import echo

from operations.base import answers, templates
from operations.base.privileges import needs_sudo as needs_sudo
from operations.base.privileges import privileges as privileges
from toolkit.settings import Settings, settings_for

MARK = "\x1e"
STALE_AFTER_SECONDS = 30
LANES = 5
_CACHE = "openclaw_snapshot"

ProbeScript = Callable[[Settings], str]
_probes: dict[str, ProbeScript] = {}


def probe(name: str) -> Callable[[ProbeScript], ProbeScript]:
    """Register the decorated function as the probe `name`.

    The function takes the `Settings` and returns POSIX shell that reads the host. It runs
    in a subshell with stderr discarded and `LC_ALL=C`; its exit status is ignored. `docker`,
    `bounded` and `ids` are those of `templates/host/bounded.sh.j2`.
    """

    def register(function: ProbeScript) -> ProbeScript:
        _probes[name] = function
        return function

    return register


def script(settings: Settings) -> str:
    """Return the shell script that runs every registered probe, some of them at once."""
    bodies, functions = [], templates.render("host/bounded.sh.j2")
    for name, function in sorted(_probes.items()):
        body = function(settings).replace(functions, "").strip() or ":"  # once is enough
        bodies.append(
            f"printf '\\036%s\\n' {name}\n(\nread -r bounded_probe _ </proc/self/stat\n{body}\n)"
            " 8>&1 2>/dev/null </dev/null"
        )
    parts = [functions, "engine_seconds=60 engine_bytes=1048576"]
    parts += ["export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
    for lane in range(LANES):
        parts.append("\n".join([f"lane{lane}() {{ :", *bodies[lane::LANES], "}"]))
    # Each answers whole, behind those before it, and needs no file for that.
    behind = [f'{{ said=$(lane{lane}); cat; printf "%s\\n" "$said"; }}' for lane in range(1, LANES)]
    return "\n".join([*parts, " | ".join(["lane0", *behind]), "exit 0"])


def parse(text: str, mark: str = MARK) -> dict[str, str]:
    """Split a script's output into the answers by name; each begins with a line `mark` NAME."""
    answers: dict[str, list[str]] = {}
    current: list[str] = []
    for line in text.split("\n"):
        before, found, name = line.partition(mark)
        if found:
            if before:
                current.append(before)
            current = answers[name] = []
        else:
            current.append(line)
    return {name: "\n".join(body) for name, body in answers.items()}


def marked(script: str) -> tuple[str, str]:
    """Return a script whose answers begin with marks of this call alone, and the mark.

    What is read on a host, a container's label for one, cannot pretend to be the next answer.
    """
    mark = f"{MARK}{secrets.token_hex(8)} "
    return script.replace("\\036", f"\\036{mark[1:]}"), mark


def read(host: Host | None = None) -> dict[str, str]:
    """Return the snapshot of `host` (default: the current one), reading it if it is not known.

    Raises:
        PyinfraError: the host did not answer.
    """
    target = host or current_host
    taken = target.connector_data.get(_CACHE)
    if taken and (
        not target.state.is_executing or time.monotonic() - taken[0] < STALE_AFTER_SECONDS
    ):
        return taken[1]
    try:
        question, mark = marked(script(settings_for(target)))
        said = answers.ask(target, question, privileges(target))
    except PyinfraError as error:
        raise PyinfraError(f"{target.name}: {error}") from None
    found = parse(said, mark)
    if endless := [name.partition(" ")[2] for name in found if name.startswith("bound ")]:
        raise PyinfraError(f"{target.name}: the engine cannot be asked: {endless[0]}")
    if missing := _probes.keys() - found.keys():
        names = ", ".join(sorted(missing))
        raise PyinfraError(f"{target.name}: it does not answer the probes {names}")
    if getattr(target.state, "print_fact_output", False):
        for line in said.splitlines():
            echo(f"{target.print_prefix}{answers.printable(line, 1000)}", err=True)
    target.connector_data[_CACHE] = (time.monotonic(), found)
    return found


def known(host: Host) -> dict[str, str]:
    """Return what is known of `host` without asking it; empty if nothing is."""
    taken = host.connector_data.get(_CACHE)
    return taken[1] if taken else {}


def forget(host: Host) -> None:
    """Drop what is known of `host`, because something changed it."""
    host.connector_data.pop(_CACHE, None)


def read_quietly(host: Host, command: str, seconds: float = answers.ANSWER_SECONDS) -> str:
    """Return the output of a read-only command without pyinfra printing it at any verbosity.

    For what may contain secrets, such as `openclaw.json`.

    Raises:
        PyinfraError: the command failed, or there was no whole answer.
    """
    try:
        return answers.ask(host, command, privileges(host), seconds=seconds)
    except PyinfraError as error:
        raise PyinfraError(f"{host.name}: {error}") from None


def run_quietly(host: Host, script: str, seconds: float = answers.ANSWER_SECONDS) -> str:
    """Return the output of a shell script that travels on standard input; nothing is printed.

    Raises:
        PyinfraError: it failed, or there was no whole answer; the message is what it said.
    """
    return answers.run(host, script, arguments=privileges(host), seconds=seconds)


def ask_several(host: Host, script: str, seconds: float = answers.ANSWER_SECONDS) -> dict[str, str]:
    """Return the answers of a script by name; each begins with the line `\\036`NAME, as printf
    writes it. Otherwise as `run_quietly`.
    """
    question, mark = marked(script)
    return parse(run_quietly(host, question, seconds), mark)
