"""OpenClaw on a host that somebody else has set up, as what the host shows of it means.

Docs of the release: install/docker, cli/gateway, install/ansible, help/environment.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from toolkit import patterns
from toolkit.patterns import matches

NAMES = ("openclaw", "clawdbot", "moltbot")
"""What OpenClaw is and was called: its services, units and state directories."""
_STATES = tuple(f"/home/node/.{name}" for name in NAMES)
_AUTHS = tuple(f"/home/node/.config/{name}" for name in NAMES)


@dataclass(frozen=True)
class Container:
    """A container that would be stopped: whether it runs, and when it is restarted by itself."""

    id: str
    running: bool
    policy: str


@dataclass(frozen=True)
class Installation:
    """One that is there.

    `kind`: `docker`, `user` or `system` (a unit), `directory` (nothing runs it). `where`: the
    directory of the Compose project, the unit, or the state. `uid`: whose the state must be, None:
    whoever has it. `inside`: where its own files say that the state is. `variables`: what the
    gateway was given (secrets among them); `variable_files`: where further ones are. `state`,
    `parts` and the rest below are known once the host was asked what is in it; `linked`: links lead
    there.
    """

    kind: str
    name: str
    where: str
    state: str
    inside: str
    uid: int | None = None
    home: str = ""
    running: bool = False
    containers: tuple[Container, ...] = ()
    port: int = 0
    address: str = ""
    releases: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    variable_files: tuple[str, ...] = ()
    parts: Mapping[str, str] = field(default_factory=dict)
    workspace_inside: str = ""
    sizes: Mapping[str, int | None] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    used: str = ""
    unreadable: str = ""
    linked: bool = False
    gone: bool = False

    @property
    def shown(self) -> str:
        """Return what it is, for a person."""
        kinds = {
            "docker": f"the Compose project {self.name} in {self.where or 'an unknown directory'}",
            "user": f"the unit {self.name} of the user in {self.home}",
            "system": f"the unit {self.name} of the system",
            "directory": "a state that no service runs",
        }
        return f"{kinds[self.kind]}, state in {self.state}"

    def named(self, path: str) -> bool:
        """Return whether a path given by the user means this one."""
        return posixpath.normpath(path) in {self.state, self.where}


def directory(path: str, uid: int | None = None, home: str = "") -> Installation:
    """Return a state that nothing runs, as far as is known."""
    parts = _of_home(path, home)
    return Installation("directory", "", path, path, path, uid, home, parts=parts)


def projects(
    containers: list[dict[str, Any]], images: list[dict[str, Any]]
) -> Iterable[Installation]:
    """Yield the Compose projects with a gateway of OpenClaw's that is not the toolkit's."""
    of_image = {image.get("Id"): image.get("Config") or {} for image in images}
    projects: dict[str, list[dict[str, Any]]] = {}
    for one in containers:
        labels = (one.get("Config") or {}).get("Labels") or {}
        if "openclaw-pyinfra.project" not in labels:  # an image of ours may be theirs, too
            name = str(labels.get("com.docker.compose.project", ""))
            if matches(patterns.NAME, name) and matches("[0-9a-f]{64}", one.get("Id")):
                projects.setdefault(name, []).append(one)
    for name, members in projects.items():
        for one in members:
            labels = one["Config"]["Labels"]
            if not str(labels.get("com.docker.compose.service", "")).endswith("-gateway"):
                continue
            mounts = {
                str(mount.get("Destination")): str(mount.get("Source"))
                for mount in one.get("Mounts") or []
            }
            inside = next((place for place in _STATES if place in mounts), "")
            if not inside:
                continue
            config = of_image.get(one.get("Image"), {})
            given, own = _variables(one["Config"].get("Env")), _variables(config.get("Env"))
            workspace = next(
                (path for path in (f"{inside}/workspace", "/home/node/clawd") if path in mounts), ""
            )
            auth = next((mounts[place] for place in _AUTHS if place in mounts), "")
            where = str(labels.get("com.docker.compose.project.working_dir", ""))
            bindings = (one.get("HostConfig") or {}).get("PortBindings") or {}
            yield Installation(
                kind="docker",
                name=name,
                where=where if matches(patterns.PATH, where) else "",
                state=mounts[inside],
                inside=inside,
                running=bool((one.get("State") or {}).get("Running")),
                containers=tuple(map(_container, members)),
                **_published(bindings),
                releases=tuple(
                    filter(
                        None, [(config.get("Labels") or {}).get("org.opencontainers.image.version")]
                    )
                ),
                variables={key: value for key, value in given.items() if own.get(key) != value},
                parts={
                    "workspace": mounts[workspace] if workspace else f"{mounts[inside]}/workspace",
                    **({"auth": auth} if auth else {}),
                },
                workspace_inside=workspace,
            )


def _container(inspected: Mapping[str, Any]) -> Container:
    policy = (inspected.get("HostConfig") or {}).get("RestartPolicy") or {}
    name, most = str(policy.get("Name") or "no"), policy.get("MaximumRetryCount") or 0
    text = f"{name}:{most}" if name == "on-failure" and most else name
    known = matches(r"no|always|unless-stopped|on-failure(:\d{1,9})?", text)
    running = bool((inspected.get("State") or {}).get("Running"))
    return Container(inspected["Id"], running, text if known else "no")


def _published(bindings: Mapping[str, Any]) -> dict[str, Any]:
    """Return where the gateway's port is published: the first of its container's TCP ports."""
    for inner in sorted(bindings):
        for one in bindings[inner] or []:
            if inner.endswith("/tcp") and matches(patterns.PORT, one.get("HostPort")):
                return {
                    "port": int(one["HostPort"]),
                    "address": str(one.get("HostIp") or "0.0.0.0"),
                }
    return {"port": 0, "address": ""}


def unit(
    home: str,
    uid: int,
    name: str,
    text: str,
    accounts: Mapping[str, tuple[int, str]],
    running: bool,
) -> Installation:
    """Return what a unit's text means; `home` and `uid`: of the user whose unit it is, if one's."""
    kind = "user" if home else "system"
    specifiers = {"%%": "%", "%h": home or "/root"}  # systemd.unit(5)
    variables: dict[str, str] = {}
    variable_files: list[str] = []
    words: list[str] = []
    user = "root"
    for line in re.sub(r"\\\n", " ", text).split("\n"):
        key, _, value = line.strip().partition("=")
        if key in ("Environment", "EnvironmentFile"):
            value = re.sub("%[%h]", lambda found: specifiers[found[0]], value)
        if key == "Environment":
            variables |= _variables(_words(value))
        elif key == "EnvironmentFile":
            variable_files.append(value.strip().lstrip("-"))
        elif key == "ExecStart" and value.strip():
            words = _words(value)
        elif key == "User":
            user = value.strip()
    if kind == "system":
        uid, home = accounts.get(user, (0, "/root"))
    base = variables.get("OPENCLAW_HOME") or variables.get("HOME") or home
    inside = variables.get("OPENCLAW_STATE_DIR") or variables.get("CLAWDBOT_STATE_DIR") or ""
    inside = inside.replace("~", base, 1) if inside.startswith("~") else inside
    own = name.partition("-")[0].partition(".")[0]
    state = posixpath.normpath(inside or f"{base}/.{own}")
    port = _option(words, "--port") or variables.get("OPENCLAW_GATEWAY_PORT") or ""
    release = variables.get("OPENCLAW_SERVICE_VERSION", "")
    return Installation(
        kind=kind,
        name=name,
        where=f"/etc/systemd/system/{name}"
        if kind == "system"
        else f"{home}/.config/systemd/user/{name}",
        state=state,
        inside=state,
        uid=uid,
        home=home,
        running=running,
        port=int(port) if matches(patterns.PORT, port) else 0,
        releases=(release,) if release else (),
        variables=variables,
        variable_files=tuple(path for path in variable_files if matches(patterns.PATH, path))[:5],
        parts=_of_home(state, base),
    )


def _of_home(state: str, home: str) -> dict[str, str]:
    """Return what belongs to a state beside it; `clawd` was once the default workspace."""
    beside = {"auth": f"{home}/.config/openclaw", "clawd": f"{home}/clawd"} if home else {}
    return {"workspace": f"{state}/workspace", **beside}


def _option(words: list[str], name: str) -> str:
    for number, word in enumerate(words):
        if word.startswith(f"{name}="):
            return word.partition("=")[2]
        if word == name and number + 1 < len(words):
            return words[number + 1]
    return ""


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return []


def _variables(pairs: Iterable[str] | None) -> dict[str, str]:
    return dict(pair.split("=", 1) for pair in pairs or [] if "=" in str(pair))
