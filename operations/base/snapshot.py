"""The state of a host, read in one round trip and valid until something changes it.

A fact is a class of the module that wants to know something: `script(settings)` is a POSIX shell
snippet that only reads, `parse(lines)` makes the fact of what it said. All scripts of a host run as
one, each answer is parsed once, and `of(Fact)` gives it until an operation of
`operations.base.operation` runs a command there.
Facts print no secrets: pyinfra shows fact output at `-vvv`.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Protocol, TypeVar

from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.host import Host
from pyinfra.api.output import echo
from pyinfra.context import ctx_host

from operations.base import answers, templates
from operations.base.privileges import needs_sudo as needs_sudo
from operations.base.privileges import privileges as privileges
from toolkit import lockfile
from toolkit.settings import Settings, settings_for

MARK = "\x1e"
STALE_AFTER_SECONDS, STALE_AFTER_TIMES = 30, 10
"""What is known of a host is asked anew after so long, or so many times what asking took."""
LANES = 3
KEPT_SCRIPTS = 64
"""Of hosts with as many different settings; it is the same for those with the same ones."""
_CACHE = "openclaw_snapshot"


class Fact(Protocol):
    """What a host is asked, and what its answer means; nothing is a value of it, too."""

    @staticmethod
    def script(settings: Settings) -> str:
        """Return POSIX shell that reads the host.

        It runs in a subshell with stderr discarded and `LC_ALL=C`; its exit status is ignored.
        `docker`, `bounded` and `ids` are those of `templates/host/bounded.sh.j2`, `kept` that of
        `templates/host/kept.sh.j2`.
        """

    @classmethod
    def parse(cls, lines: list[str]) -> Any:
        """Return the fact; whatever this raises is the host's failure."""


F = TypeVar("F", bound=Fact)
A = TypeVar("A")
Script = Callable[[Settings], str]
_facts: dict[str, type[Fact]] = {}
_names: dict[type[Any], str] = {}
"""By which a fact is found: a deploy file that declares one is read anew for each host."""
_shared: list[tuple[Script, frozenset[str]]] = []


class UnreadableAnswerError(PyinfraError):
    """A host answered a fact with what the fact does not take."""


@dataclass(frozen=True)
class Snapshot:
    """The facts of a host as they were between `asked` and `answered` on this machine's clock.

    `beside` is for what else was read of the host and is valid as long as they are.
    """

    facts: Mapping[str, Any]
    asked: float
    answered: float
    beside: dict[type[Any], Any] = field(default_factory=dict)

    def of(self, kind: type[F]) -> F:
        fact: F = self.facts[_names[kind]]
        return fact


def fact(name: str) -> Callable[[type[F]], type[F]]:
    """Register the decorated class as the fact `name`."""

    def register(kind: type[F]) -> type[F]:
        _facts[name], _names[kind] = kind, name
        return kind

    return register


def before(*names: str) -> Callable[[Script], Script]:
    """Register shell that runs before the scripts of the facts `names`, which see what it sets."""

    def register(function: Script) -> Script:
        _shared.append((function, frozenset(names)))
        return function

    return register


def script(settings: Settings) -> str:
    """Return the shell script that asks for every fact, some of them at once."""
    return _script(settings, lockfile.written(), tuple(sorted(_facts.items())), tuple(_shared))


@lru_cache(maxsize=KEPT_SCRIPTS)
def _script(
    settings: Settings,
    locks: lockfile.Written,
    facts: tuple[tuple[str, type[Fact]], ...],
    shared: tuple[tuple[Script, frozenset[str]], ...],
) -> str:
    functions = [templates.render("host/bounded.sh.j2"), templates.render("packages/manager.sh")]
    quiet = "2>/dev/null </dev/null"

    def body(function: Script) -> str:
        text = function(settings)
        for those in functions:
            text = text.replace(those, "")  # once is enough
        text = text.strip() or ":"
        return f"read -r bounded_probe _ </proc/self/stat\n{text}"

    asked = {
        name: f"printf '\\036%s\\n' {name}\n(\n{body(kind.script)}\n) 8>&1 {quiet}"
        for name, kind in facts
    }
    lanes = []
    for function, names in shared:
        if those := [asked.pop(name) for name in sorted(names & asked.keys())]:
            lanes.append([f"exec 8>&1 {quiet}", body(function), *those])
    rest = list(asked.values())
    lanes += [rest[lane::LANES] for lane in range(LANES)]
    kept = templates.render("host/kept.sh.j2")
    # They go to every host in every run, and their comments need not.
    parts = [re.sub("(?m)^#.*\n", "", text) for text in (*functions, kept)]
    parts += ["engine_seconds=60 engine_bytes=1048576"]
    parts += ["export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
    for number, lane in enumerate(lanes):
        parts.append("\n".join([f"lane{number}() {{ :", *lane, "}"]))
    # Each answers whole, behind those before it, and needs no file for that.
    behind = [f'{{ said=$(lane{n}); cat; printf "%s\\n" "$said"; }}' for n in range(1, len(lanes))]
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


def of(kind: type[F], host: Host | None = None) -> F:
    """Return a fact of `host` (default: the current one), asking it if it is not known.

    Raises:
        PyinfraError: the host did not answer, or not so that every fact can be made of it.
    """
    return read(host).of(kind)


def read(host: Host | None = None) -> Snapshot:
    """Return all facts of a host at once; otherwise as `of`."""
    target = host or ctx_host.get()
    kept = target.connector_data.get(_CACHE)
    if kept and (not target.state.is_executing or time.monotonic() < kept[0]):
        last: Snapshot = kept[1]
        return last
    before, asked = time.time(), time.monotonic()
    try:
        question, mark = marked(script(settings_for(target)))
        said = answers.ask(target, question, privileges(target))
    except PyinfraError as error:
        raise PyinfraError(f"{target.name}: {error}") from None
    after = time.time()
    found = parse(said, mark)
    if endless := [name.partition(" ")[2] for name in found if name.startswith("bound ")]:
        raise PyinfraError(f"{target.name}: the engine cannot be asked: {endless[0]}")
    if missing := _facts.keys() - found.keys():
        names = ", ".join(sorted(missing))
        raise PyinfraError(f"{target.name}: it does not answer the probes {names}")
    if getattr(target.state, "print_fact_output", False):
        for line in said.splitlines():
            echo(f"{target.print_prefix}{answers.printable(line, 1000)}", err=True)
    try:
        there = Snapshot(parsed(found), before, after)
    except Exception as error:  # an answer that means nothing to whoever reads it
        why = f"{type(error).__name__}: {answers.printable(str(error))}"
        raise UnreadableAnswerError(
            f"{target.name}: the host's answers cannot be read: {why}"
        ) from None
    now = time.monotonic()
    # A host that takes long to answer is not asked for half of the run.
    stale = now + max(STALE_AFTER_SECONDS, STALE_AFTER_TIMES * (now - asked))
    target.connector_data[_CACHE] = (stale, there)
    return there


def parsed(said: Mapping[str, str]) -> dict[str, Any]:
    """Return the facts that the answers, by name, mean; raises whatever a fact's `parse` does."""
    return {name: kind.parse(_lines(said[name])) for name, kind in _facts.items()}


def _lines(text: str) -> list[str]:
    """Return the lines of an answer; only a line feed ends one, and blank ones at the end are none.

    A path may have other characters that Python would split at.
    """
    return text.rstrip("\n").split("\n") if text.strip("\n") else []


def known(host: Host) -> Snapshot | None:
    """Return what is known of `host` without asking it; None if nothing is."""
    kept = host.connector_data.get(_CACHE)
    return kept[1] if kept else None


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


def ask_several(
    host: Host,
    script: str,
    made_of: Callable[[Mapping[str, str]], A],
    seconds: float = answers.ANSWER_SECONDS,
) -> A:
    """Return what `made_of` makes of a script's answers by name; each begins with the line
    `\\036`NAME, as printf writes it. Otherwise as `run_quietly`.
    """
    question, mark = marked(script)
    return made_of(parse(run_quietly(host, question, seconds), mark))
