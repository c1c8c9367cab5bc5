"""What `.env` decides beside the secrets in it: Compose's project, and where OpenClaw's state is.

Compose takes its own variables (`COMPOSE_...`) from that file, before what the compose files say,
and the gateway gets all the others:
https://docs.docker.com/compose/how-tos/environment-variables/envvars/
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from operations import engine_access, project
from operations.base import preflight, snapshot, templates
from operations.base.preflight import Problem
from operations.gateway import host_secrets
from toolkit import dotenv
from toolkit.patterns import shown
from toolkit.settings import Settings
from toolkit.settings.sources import environment

FILE, NAME, PROFILES, SEPARATOR = (
    "COMPOSE_FILE",
    "COMPOSE_PROJECT_NAME",
    "COMPOSE_PROFILES",
    "COMPOSE_PATH_SEPARATOR",
)
COMMAND_LINE = "cli"
"""The profile of the service that is run for one command, and never started with the gateway."""
ENGINE = ("DOCKER_HOST", "DOCKER_CONTEXT")
ELSEWHERE = ("directories.", "home_volume", "extra_mounts")
"""Settings that say where the state is; OpenClaw's own Docker set-up has them in its `.env`."""


@snapshot.fact("user-override")
@dataclass(frozen=True)
class Override:
    """What Compose makes of the user's override: the project that it names, or why it is refused;
    both are None without one."""

    project: str | None = None
    refused: str | None = None

    @staticmethod
    def script(settings: Settings) -> str:
        return templates.render(
            "compose/override.sh.j2",
            docker=engine_access.environment(settings),
            project=settings.project_directory,
            override=project.OVERRIDE,
            name=settings.name,
            services=[project.GATEWAY, "openclaw-cli"],
        )

    @classmethod
    def parse(cls, lines: list[str]) -> Override:
        word, _, said = "\n".join(lines).strip().partition("=")
        return cls(said if word == "name" else None, said if word == "refused" else None)


@preflight.check
def environment_file_problems(settings: Settings) -> Iterable[Problem]:
    try:
        there = host_secrets.read(settings).variables()
    except host_secrets.UnreadableFile:
        return  # reported with the secrets
    yield from place_problems(settings, there, host_secrets.environment_path(settings))


def compose_problems(settings: Settings) -> Iterable[Problem]:
    """Say what makes another Compose project of the deployment's, in `.env` or in the override."""
    try:
        there = host_secrets.read(settings).variables()
    except host_secrets.UnreadableFile:
        return  # reported with the secrets
    yield from project_problems(settings, there, host_secrets.environment_path(settings))
    yield from override_problems(settings)


def project_problems(settings: Settings, there: Mapping[str, str], path: str) -> Iterable[Problem]:
    if there.get(NAME) not in (None, "", settings.name):
        yield Problem(
            f"{path}: {NAME} is {shown(there[NAME])}, and the deployment's project {settings.name}",
            "remove the line; another project is another deployment (--set name=NAME)",
        )
    if there.get(FILE):
        names = project.compose_files(settings.project_directory, settings.mounts_more)
        wanted = [one for one in names if one != project.OVERRIDE]
        given = re.split(re.escape(there.get(SEPARATOR) or ":"), there[FILE])
        missing = [name for name in wanted if name not in map(_plain, given)]
        # Only those that the toolkit has put there are the toolkit's to add to.
        if missing and not chosen_by_us(there):
            yield Problem(
                f"{path}: {FILE} is {shown(there[FILE])}, without {', '.join(missing)}",
                f"name all files of the deployment: {FILE}={':'.join([*wanted, 'YOURS.yml'])}",
            )
    if {COMMAND_LINE, "*"} & set(re.split(r"[,\s]+", there.get(PROFILES, ""))):
        yield Problem(
            f"{path}: {PROFILES} has {COMMAND_LINE}, the profile of OpenClaw's command line, which"
            " would be started with the gateway",
            "take it out of that line",
        )


def override_problems(settings: Settings) -> Iterable[Problem]:
    there, path = snapshot.of(Override), project.path(settings.project_directory, project.OVERRIDE)
    if there.refused is not None:
        why = shown(there.refused)
        yield Problem(f"Compose refuses {path}: {why}", "correct it, or move it away")
    elif there.project not in (None, settings.name):
        yield Problem(
            f"{path} names another project, {shown(there.project or '')}",
            f"take its `name` out; the deployment's is {settings.name}",
        )


def place_problems(settings: Settings, there: Mapping[str, str], path: str) -> Iterable[Problem]:
    """Say what the gateway would take for the place of its state, or the user for it."""
    places = in_gateway(settings)
    for key, place in places.items():
        if there.get(key) and there[key] != place:
            yield Problem(
                f"{path}: {key} is {shown(there[key])}, where the gateway would look for what is at"
                f" its own {place}",
                f"remove the line; {_setting(key)}",
            )
    for key in ENGINE if settings.sandbox.enabled else ():
        if there.get(key):
            yield Problem(
                f"{path}: {key} names an engine, and the gateway would make its sandboxes there,"
                " not on the deployment's",
                "remove the line; sandbox.socket and engine.socket say which engine that is",
            )
    for key, value in there.items():
        for found in [] if key in places else environment.read({key: value}).layer.origins:
            setting = ".".join(found)
            if setting.startswith(ELSEWHERE) and not _same(settings, setting, key, value):
                yield Problem(
                    f"{path}: {key} is {shown(value)}, and the settings, which alone decide that,"
                    f" say {setting}: {shown(_in_force(settings, setting))}",
                    f"set {setting} in the inventory, or remove the line",
                )


def in_gateway(settings: Settings) -> dict[str, str]:
    """Return what OpenClaw takes its places from (docs: help/environment), and where they are."""
    state = settings.state_in_gateway
    return {
        "OPENCLAW_STATE_DIR": state,
        "OPENCLAW_CONFIG_PATH": f"{state}/openclaw.json",
        "OPENCLAW_HOME": state.rpartition("/")[0],
        "OPENCLAW_WORKSPACE_DIR": settings.workspace_in_gateway,
        "OPENCLAW_PROFILE": "default",
    }


def with_compose_file(text: str, names: Collection[str]) -> str:
    """Make plain `docker compose` commands in the project directory read the same files as ours.

    + names: of the compose files, in order
    """
    there = dotenv.values(text)
    if there.get(FILE) is not None and not chosen_by_us(there):
        return text  # the user's own choice
    if project.EXTRA in names:
        return dotenv.edit(text, {FILE: ":".join(names)})
    return dotenv.edit(text, {}, unwanted=[FILE])


def chosen_by_us(there: Mapping[str, str]) -> bool:
    """Return whether the files of `.env` are none but those that the toolkit would name."""
    ours = {project.BASE, project.OVERRIDE, project.EXTRA}
    return set(there[FILE].split(":")) <= ours


def _plain(name: str) -> str:
    return name.strip().removeprefix("./")


def _setting(key: str) -> str:
    keys = {variable.name: variable.key for variable in environment.VARIABLES}
    return f"the place on the host is {keys.get(key, 'directories.config')} in the settings"


def _same(settings: Settings, setting: str, key: str, value: str) -> bool:
    """Return whether a variable says what the settings do."""
    try:
        said = Settings.model_validate(environment.read({key: value}).layer.data)
    except ValueError:
        return False
    return _in_force(said, setting) == _in_force(settings, setting)


def _in_force(settings: Settings, key: str) -> object:
    section, _, name = key.partition(".")
    if section == "directories":
        return getattr(settings, f"{name}_directory")
    return getattr(settings, section)
