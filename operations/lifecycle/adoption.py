"""Another OpenClaw of the host becomes the deployment's: `./claw adopt`, and the way back.

It is prepared while the other one serves: `.env`, openclaw.json, images, compose files. Then one
script on the host (`templates/lifecycle/adopt.sh.j2`) stops the other one, copies what it keeps,
starts the deployment's gateway with it, and counts; if that fails, the other one runs again as
before. Nothing of the other one is changed or removed: it is kept from starting by itself
(`restart: no`, a condition beside its unit), and `adopted` in the project's directory says so.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from shlex import quote
from weakref import WeakKeyDictionary

from pyinfra import host
from pyinfra.api import StringCommand
from pyinfra.api.deploy import deploy
from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.state import State

from operations import activation
from operations.base import files, notes, owner, snapshot, templates
from operations.base.operation import operation
from operations.base.preflight import Problem
from operations.engine_access import EngineWay
from operations.gateway import conflicts, existing_state, form, host_secrets
from operations.images import gateway as images
from operations.lifecycle import finding, power, taking_over
from operations.lifecycle.installation import Installation
from toolkit import patterns
from toolkit.patterns import shown
from toolkit.settings import Settings
from toolkit.settings.contradictions.mounts import inside

COMMAND_SECONDS, COPY_SECONDS, ANSWER_SECONDS = 6 * 3600, 3 * 3600, 120
"""Of the whole script, of one copy, and until the other one answers again."""
UNTOUCHED = "nothing of it is changed or removed; ./claw adopt --undo brings it back"
_sources: WeakKeyDictionary[State, str | None] = WeakKeyDictionary()


@snapshot.fact("adopted")
@dataclass(frozen=True)
class Adopted:
    """Whether a record says that something was taken over (`done`) or is being (`unfinished`), and
    which state that was; `prepared`: openclaw.json was made of another one's."""

    done: bool = False
    unfinished: bool = False
    prepared: bool = False
    state: str = ""

    @staticmethod
    def script(settings: Settings) -> str:
        record = quote(_record(settings))
        return (
            f"for name in done adopting source; do [ ! -e {record}/$name ] || echo $name; done\n"
            f"[ ! -e {quote(_prepared(settings))} ] || echo prepared\n"
            f"sed -n 's/^source_state=//p' {record}/source"
        )

    @classmethod
    def parse(cls, lines: list[str]) -> Adopted:
        begun = "source" in lines
        paths = [line.strip("'") for line in lines if line.strip("'").startswith("/")]
        state = paths[0] if paths and patterns.matches(patterns.PATH, paths[0]) else ""
        unfinished = begun and ("adopting" in lines or "done" not in lines)
        return cls(begun and not unfinished, unfinished, "prepared" in lines, state)


def choose(state: State, source: str | None) -> None:
    """Have a run take over what is at a path; None: what is found."""
    _sources[state] = source


def problems(settings: Settings) -> Iterable[Problem]:
    """Say why nothing can be taken over here; comes before the checks of provisioning."""
    record = snapshot.of(Adopted)
    if record.done:
        return
    if activation.running().status and not record.unfinished:
        yield Problem(
            f"the deployment {settings.name} has a gateway of its own, with a state of its own",
            "take over under another name (--set name=NAME)",
        )
        return
    if snapshot.of(existing_state.Existing).entries and not (record.prepared or record.unfinished):
        yield Problem(
            f"{settings.config_directory} has a configuration already, which would be replaced",
            "move it away, or take over under another name (--set name=NAME)",
        )
    for nested in (settings.workspace_directory, settings.auth_directory):
        if inside(nested, settings.config_directory):
            yield Problem(
                f"{nested} is inside of directories.config, and each is put in its place whole",
                "set directories.workspace and directories.auth outside of it",
            )
    try:
        one, free = _chosen(settings)
    except _NotOneError as error:
        yield Problem(*error.args)
        return
    found = list(taking_over.problems(settings, one, free))
    if one.linked and one.uid is None and _sources.get(host.state) != one.state:
        fix = f"if it is meant, name it: --source {quote(one.state)}"
        found.append(Problem("links lead to that state: whoever has them chooses it", fix))
    yield from (Problem(f"{one.shown}: {problem.what}", problem.fix) for problem in found)
    if not found:
        if one.port and (one.running or record.unfinished):
            conflicts.leaves(host, one.port)
        notes.of(host).plan += [
            *taking_over.plan(settings, one),
            f"it cannot start by itself afterwards; {UNTOUCHED}",
        ]


@operation
def recovered(settings: Settings) -> Generator:
    """Undo, or finish, a taking over that was killed.

    + settings: the settings of the host
    """
    if not snapshot.of(Adopted).unfinished:
        host.noop("no taking over was interrupted")
        return
    yield _run(settings, script(settings), "recover")


@operation
def prepared(settings: Settings) -> Generator:
    """Make `.env` and openclaw.json of those of the other one, which goes on serving.

    + settings: the settings of the host
    """
    if snapshot.of(Adopted).done:
        host.noop("it is taken over already")
        return
    one, there = _chosen(settings)[0], host_secrets.read(settings)
    text = taking_over.environment(one, there.environment_text())
    yield StringCommand(f": >{quote(_prepared(settings))}")
    yield files.replace_command(host_secrets.environment_path(settings), there.environment, text)
    content = taking_over.as_ours(settings, one)
    new = "umask 077; " + files.received("openclaw.json.new", content)
    write = owner.command(
        settings.config_directory, "sh", "-c", f"{new} && mv -fT openclaw.json.new openclaw.json"
    )
    yield StringCommand(f"{owner.shell()}\n{write}", _stdin=[content])


@operation
def taken_over(settings: Settings) -> Generator:
    """Stop the other one, copy what it keeps, and start the gateway with it; go back if it fails.

    + settings: the settings of the host
    """
    if snapshot.of(Adopted).done:
        # What the settings want otherwise by now.
        yield from activation.activated._inner(settings=settings)
        return
    one = _chosen(settings)[0]
    text, path = activation.script(settings), f"{settings.project_directory}/run/activate.sh"
    yield StringCommand(f"umask 077 && {files.received(quote(path), text)}", _stdin=[text])
    yield _run(settings, script(settings, one), "adopt")
    notes.of(host).outcome += [power.last_line(settings, "adopt"), UNTOUCHED]


@operation
def given_back(settings: Settings) -> Generator:
    """Stop the gateway, and start the other one as it was.

    + settings: the settings of the host
    """
    record = snapshot.of(Adopted)
    begun = record.done or record.unfinished
    if not begun and not record.prepared:
        host.noop("nothing was taken over")
        return
    notes.of(host).plan += (
        [
            f"the gateway stops, and what was taken over runs again with {record.state}",
            "what the deployment wrote since stays beside its directories, with .undone-TIME",
        ]
        if begun
        else ["openclaw.json that was made of the other one's goes, .env stays with .undone-TIME"]
    )
    yield _run(settings, script(settings), "undo")
    notes.of(host).outcome.append(power.last_line(settings, "adopt"))


@deploy("Adoption")
def recover(settings: Settings) -> None:
    """Undo, or finish, what was interrupted."""
    recovered(name="Finish an interrupted adoption", settings=settings)


@deploy("Adoption")
def prepare(settings: Settings) -> None:
    """Make `.env` and openclaw.json of the other one's."""
    prepared(name="Take token and configuration of the other OpenClaw", settings=settings)


@deploy("Adoption")
def take_over(settings: Settings) -> None:
    """Stop the other one, and start the gateway with a copy of what it keeps."""
    taken_over(name="Stop the other OpenClaw, copy its state, start the gateway", settings=settings)


@deploy("Adoption")
def give_back(settings: Settings) -> None:
    """Stop the gateway, and start the other one."""
    given_back(name="Give back what was taken over", settings=settings)


def script(settings: Settings, one: Installation | None = None) -> str:
    """Return the script that takes over an installation; None: that goes back, or finishes."""
    config, workspace = settings.config_directory, settings.workspace_directory
    return templates.render(
        "lifecycle/adopt.sh.j2",
        job="adopt",
        **form.script_variables(settings),
        config=config,
        workspace=workspace,
        auth=settings.auth_directory,
        workspace_inside_config=workspace != f"{config}/workspace",
        image=images.tag(settings.name),
        uid=EngineWay(settings).uid,
        socket=settings.engine.socket,
        seconds=COPY_SECONDS,
        answer_seconds=ANSWER_SECONDS,
        limit=finding.LIMIT,
        file=taking_over.configuration_file(one) if one else "",
        digest=taking_over.digest(one) if one else "",
        source=_source(one) if one else "",
        moved=taking_over.moved(settings, one) if one else [],
        state_inside=settings.state_in_gateway,
        counts=_program("backup/counts.mjs"),
        relocate=_program("lifecycle/relocate.mjs"),
    )


class _NotOneError(PyinfraError):
    """There is not one to take over; what is wrong, and the fix."""


def _chosen(settings: Settings) -> tuple[Installation, list[int]]:
    """Return what is to be taken over on the current host, and the KiB that are free."""
    source = _sources.get(host.state)
    there, free = finding.found(settings, source)
    ours = (settings.config_directory, settings.project_directory)
    there = [one for one in there if one.state not in ours]
    named = [one for one in there if source is None or one.named(source)]
    if len(named) == 1:
        return named[0], free
    if not named:
        raise _NotOneError(
            "no OpenClaw is found here that could be taken over",
            "./claw up makes a new one; a state elsewhere is named by --source PATH",
        )
    raise _NotOneError(
        f"{len(named)} are here: {'; '.join(shown(one.shown, 200) for one in named)}",
        "name one: --source, with the path of its state",
    )


def _source(one: Installation) -> str:
    containers = "\n".join(
        f"{each.id} {each.policy} {'yes' if each.running else 'no'}" for each in one.containers
    )
    return templates.render(
        "lifecycle/source.sh.j2",
        kind=one.kind,
        name=one.name,
        where=one.where,
        state=one.state,
        workspace=one.parts.get(taking_over.workspace(one), ""),
        auth=one.parts.get("auth", ""),
        uid="-" if one.uid is None else one.uid,
        home=one.home,
        port=one.port,
        running="yes" if one.running else "no",
        containers=containers,
    )


def _program(name: str) -> str:
    return (templates.DIRECTORY / name).read_text(encoding="utf-8")


def _record(settings: Settings) -> str:
    return f"{settings.project_directory}/adopted"


def _prepared(settings: Settings) -> str:
    return f"{settings.project_directory}/run/adopt.prepared"


def _run(settings: Settings, text: str, mode: str) -> StringCommand:
    path = f"{settings.project_directory}/run/adopt.sh"
    return files.script_command(path, text, mode, _timeout=COMMAND_SECONDS)
