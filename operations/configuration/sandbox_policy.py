"""The sandbox policy as openclaw.json wants it.

OpenClaw reads `agents.defaults.sandbox`, the same keys of single agents, `tools.sandbox.tools` and
`tools.exec.host` (docs: gateway/config-agents/sandbox, tools/multi-agent-sandbox-tools). Every key
that the settings have is owned: what the settings do not give any more is removed again.

One `docker` section serves both of a session's containers, tools and browser (the release's
`resolveSandboxBrowserDockerCreateConfig`), so an agent with a browser has the browser's profiles
for both.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from operations.configuration import agents, tools
from operations.configuration.agents import Agents
from operations.engine_access import EngineWay
from operations.security import stage as security
from toolkit.settings import Settings
from toolkit.settings.sandbox import names
from toolkit.settings.sandbox.model import Sandbox, SandboxAgent, SandboxContainer
from toolkit.settings.section import Section

_SESSIONS = {
    "mode": "mode",
    "scope": "scope",
    "workspace_access": "workspaceAccess",
    "workspace_root": "workspaceRoot",
    "session_tools_visibility": "sessionToolsVisibility",
}
_CONTAINER = {
    "workdir": "workdir",
    "read_only_root": "readOnlyRoot",
    "tmpfs": "tmpfs",
    "network": "network",
    "user": "user",
    "capabilities_dropped": "capDrop",
    "environment": "env",
    "setup_command": "setupCommand",
    "pids_limit": "pidsLimit",
    "memory": "memory",
    "memory_swap": "memorySwap",
    "cpus": "cpus",
    "ulimits": "ulimits",
    "dns": "dns",
    "extra_hosts": "extraHosts",
    "binds": "binds",
}
_BROWSER = {
    "enabled": "enabled",
    "headless": "headless",
    "novnc": "noVncEnabled",
    "network": "network",
    "source_range": "cdpSourceRange",
}
_REFERENCE = re.compile(r"\$\{[A-Z_][A-Z0-9_]*\}")
_LIMITS = ("pidsLimit", "memory", "memorySwap", "cpus")
_PRUNE = {"idle_hours": "idleHours", "max_age_days": "maxAgeDays"}

_PROFILES = ("seccompProfile", "apparmorProfile")
_OWNED = (*_SESSIONS.values(), "docker", "browser", "prune")
_MARKS = {
    "docker": ("image", "containerPrefix", "binds", *_PROFILES),
    "browser": ("image", "containerPrefix", "network"),
}
"""What names something of the deployment, which is not there any more without sandboxes."""


def configuration(settings: Settings, there: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the part of openclaw.json that the sandbox settings own; a None means: absent.

    + settings: the settings of the host
    + there: openclaw.json as it is; without it, what a new one gets

    With sandboxes off it is empty, unless `there` still has the toolkit's policy: then it is what
    turns that off and takes its paths, images and networks away.
    """
    there = there or {}
    known = agents.of(settings, there)
    sandbox, name = settings.sandbox, settings.name
    if sandbox.enabled:
        way = EngineWay(settings)
        profiles = {
            False: security.Profiles(settings, "tools").in_openclaw,
            True: security.Profiles(settings, "browser").in_openclaw,
        }
        wanted = _enabled(_Given(name, sandbox, known, way.tools_user, way.limits, profiles), there)
    elif _has_our_marks(name, _at(there, "agents", "defaults", "sandbox")):
        wanted = _withdrawn(name, sandbox, there, known)
    else:
        return {}
    return _settled(wanted, there)


@dataclass(frozen=True)
class _Given:
    """What a policy is made of: what is wanted, the agents that there are, and what the host and
    its engine decide; `profiles` by whether there is a browser.
    """

    name: str
    sandbox: Sandbox
    known: Agents
    user: str
    limits: bool
    profiles: Mapping[bool, Mapping[str, Any]]


def _enabled(given: _Given, there: Mapping[str, Any]) -> dict[str, Any]:
    sandbox, known = given.sandbox, given.known
    container = _container(sandbox.container, _CONTAINER, new=True)
    container = _limited(given, _networked(given, container))
    container |= {
        "user": given.user,
        "image": names.tools_image(given.name, sandbox),
        "containerPrefix": names.container_prefix(given.name),
        **given.profiles[sandbox.browser.enabled],
    }
    browser = _values(sandbox.browser, _BROWSER, _BROWSER)
    browser |= {
        "image": names.tag(given.name, "browser"),
        "containerPrefix": names.browser_prefix(given.name),
        "network": names.browser_network(given.name, sandbox),
    }
    defaults = _values(sandbox, _SESSIONS, _SESSIONS)
    defaults |= {
        "docker": container,
        "browser": _named(browser, known),
        "prune": _values(sandbox.prune, _PRUNE, _PRUNE),
    }
    current = _at(there, "agents", "defaults", "sandbox", "docker")
    _exactly(container, current)
    own = {
        name: _agent(given, agent, known.entries.get(name, {}))
        for name, agent in sandbox.agents.items()
    }
    of_tools = {
        "sandbox": {"tools": tools.of_all(sandbox, known.keyed)},
        "exec": {"host": tools.exec_host(sandbox.mode, _at(there, "tools", "exec"))},
    }
    if known.keyed and known.several(own):
        # Else an agent for strangers is read by, and reads, all others' sessions.
        of_tools["sessions"] = {"visibility": "tree"}
    return {
        "agents": {"defaults": {"sandbox": defaults}, **known.merged(own)},
        "tools": of_tools,
    }


def _agent(given: _Given, agent: SandboxAgent, entry: Mapping[str, Any]) -> dict[str, Any]:
    sandbox, known, container = given.sandbox, given.known, agent.container
    docker = _networked(given, _container(container, container.model_fields_set))
    docker = _limited(given, docker)
    _exactly(docker, _at(entry, "sandbox", "docker"))
    has_browser = _has_browser(sandbox, agent)
    differs = has_browser != sandbox.browser.enabled
    docker |= given.profiles[has_browser] if differs else dict.fromkeys(_PROFILES)
    mode = agent.mode or sandbox.mode
    # Releases without `auto` run such sessions beside the gateway when nothing is set.
    elsewhere = "auto" if known.keyed else None
    return {
        "sandbox": {
            **_values(agent, _SESSIONS, agent.model_fields_set),
            "docker": docker,
            "browser": _named(
                _values(agent.browser, _BROWSER, agent.browser.model_fields_set), known
            ),
            "prune": _values(agent.prune, _PRUNE, agent.prune.model_fields_set),
        },
        "tools": {
            "sandbox": {"tools": tools.of_agent(sandbox, agent, has_browser, known.keyed)},
            "exec": {
                "host": None if mode == sandbox.mode else "sandbox" if mode == "all" else elsewhere
            },
        },
    }


def _limited(given: _Given, values: dict[str, Any]) -> dict[str, Any]:
    """Leave out the limits that the engine cannot hold."""
    return values if given.limits else {**values, **dict.fromkeys(_LIMITS)}


def _networked(given: _Given, values: dict[str, Any]) -> dict[str, Any]:
    """Give those who are to be on a bridge one that other containers of the engine are not on."""
    own = {"network": names.tools_network(given.name)}
    return {**values, **own} if values["network"] == "bridge" else values


def _container(container: SandboxContainer, given: Collection[str], new: bool = False) -> dict:
    values = _values(container, _CONTAINER, given)
    if new:
        values["env"] = {"LANG": "C.UTF-8", **container.environment}
        for key in ("ulimits", "dns", "extraHosts", "binds"):
            values[key] = values[key] or None
    if values["setupCommand"]:
        # OpenClaw would put variables of the gateway's own environment into it.
        values["setupCommand"] = _REFERENCE.sub(r"$\g<0>", values["setupCommand"])
    # The binds of the settings are the owner's word; their sources are never inside a workspace.
    values["dangerouslyAllowExternalBindSources"] = True if values["binds"] else None
    return values


def _has_browser(sandbox: Sandbox, agent: SandboxAgent) -> bool:
    given = "enabled" in agent.browser.model_fields_set
    return agent.browser.enabled if given else sandbox.browser.enabled


def _withdrawn(
    deployment: str, sandbox: Sandbox, there: Mapping[str, Any], known: Agents
) -> dict[str, Any]:
    """Return what takes the policy away; what means nothing any more may stay.

    OpenClaw refuses to write an openclaw.json of less than half its size, and takes one that it
    reads for damaged; then the inert keys stay.
    """
    own = [
        name
        for name, entry in known.entries.items()
        if name in sandbox.agents or _has_our_marks(deployment, entry.get("sandbox"))
    ]
    exec_host = {"exec": {"host": None}}
    everything = {
        "agents": {
            "defaults": {"sandbox": {**dict.fromkeys(_OWNED), "mode": "off"}},
            **known.merged(
                {name: {"sandbox": None, "tools": {"sandbox": None, **exec_host}} for name in own}
            ),
        },
        "tools": {"sandbox": {"tools": None}, **exec_host},
    }
    if _size(agents.patched(there, everything)) > 0.6 * _size(there):
        return everything
    marks = {key: dict.fromkeys(names) for key, names in _MARKS.items()}
    return {
        "agents": {
            "defaults": {"sandbox": {**marks, "mode": "off"}},
            **known.merged(
                {name: {"sandbox": {**marks, "mode": None}, "tools": exec_host} for name in own}
            ),
        },
        "tools": exec_host,
    }


def _size(configuration: Mapping[str, Any]) -> int:
    return len(json.dumps(configuration, indent=2))


def _has_our_marks(deployment: str, sandbox: object) -> bool:
    docker = _at(sandbox, "docker")
    return docker.get("containerPrefix") == names.container_prefix(deployment) or str(
        docker.get("seccompProfile")
    ).startswith(f"{security.SECURITY_IN_GATEWAY}/")


def _named(browser: dict[str, Any], known: Agents) -> dict[str, Any]:
    """Return the browser's keys under the names of the release; the other name goes."""
    old, new = "enableNoVnc", "noVncEnabled"
    value = browser.pop(new)
    return {**browser, **({new: value, old: None} if known.keyed else {old: value, new: None})}


def _values(section: Section, keys: Mapping[str, str], given: Collection[str]) -> dict[str, Any]:
    found = section.model_dump(mode="json", include=set(keys))
    return {key: found[name] if name in given else None for name, key in keys.items()}


def _exactly(docker: dict[str, Any], there: Mapping[str, Any]) -> None:
    """Objects are merged key by key: name the variables and limits that are to go."""
    for key in ("env", "ulimits"):
        if docker[key] is not None:
            docker[key] = {**dict.fromkeys(_at(there, key)), **docker[key]}


def _settled(wanted: Mapping[str, Any], there: object) -> dict[str, Any]:
    """Leave out what is to be absent and is; an empty object is wanted as such."""
    below = there if isinstance(there, Mapping) else {}
    result: dict[str, Any] = {}
    for key, value in wanted.items():
        if isinstance(value, Mapping):
            nested = _settled(value, below.get(key))
            if nested or not value:
                result[key] = nested
        elif value is not None or key in below:
            result[key] = value
    return result


def _at(data: object, *path: str) -> Mapping[str, Any]:
    for part in path:
        data = data.get(part) if isinstance(data, Mapping) else None
    return data if isinstance(data, Mapping) else {}
