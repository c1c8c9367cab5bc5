"""What the proof's gateway is given: its openclaw.json, its container, and the command it runs.

The policy is that of the deployed openclaw.json, so that what is proved is what runs; nothing else
of it is taken over: no channels, no providers, no credentials, no sessions.
"""

from __future__ import annotations

import copy
import shlex
from collections.abc import Mapping
from typing import Any

from operations.base import templates
from operations.sandbox import comparison
from toolkit.settings import Settings
from toolkit.settings.contradictions.mounts import AUTH
from toolkit.settings.model import STATE

GATEWAY_PORT, MODEL_PORT = 18789, 18999
TURN_SECONDS = 120
_POLICY_OF_TOOLS = ("allow", "alsoAllow", "deny", "profile", "byProvider", "sandbox", "elevated")
_POLICY_OF_EXEC = ("host", "security", "ask", "mode", "node")


def prefix(settings: Settings) -> str:
    """Return the prefix of the names of the proof's containers.

    No deployment can have it: names of deployments have no dot.
    """
    return f"{settings.name}.proof-"


def configuration(deployed: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """Return the openclaw.json of the proof's gateway."""
    agents = deployed.get("agents") or {}
    sandbox = copy.deepcopy((agents.get("defaults") or {}).get("sandbox") or {})
    if sandbox.get("mode", "off") != "off":
        sandbox["mode"] = "all"  # each session of the proof is to be in a sandbox
    own: dict[str, Any] = {
        "defaults": {
            "model": {"primary": "proof/scripted"},
            "skipBootstrap": True,
            "sandbox": _separate(sandbox, settings),
        }
    }
    if "ownership" in agents:
        own["ownership"] = agents["ownership"]
    if agents.get("entries"):
        own["entries"] = {
            agent: _agent(entry, settings) for agent, entry in agents["entries"].items()
        }
    if agents.get("list"):
        own["list"] = [{"id": entry["id"], **_agent(entry, settings)} for entry in agents["list"]]
    tools = deployed.get("tools") or {}
    model = {
        "id": "scripted",
        "name": "scripted",
        "input": ["text"],
        "reasoning": False,
        "contextWindow": 200_000,
        "maxTokens": 8_000,
        "cost": {"input": 0, "output": 0, "cacheRead": 0, "cacheWrite": 0},
    }
    return {
        "gateway": {
            "mode": "local",
            "bind": "loopback",
            "port": GATEWAY_PORT,
            "auth": {
                "mode": "token",
                "token": {"source": "env", "provider": "default", "id": "OPENCLAW_GATEWAY_TOKEN"},
            },
            "http": {"endpoints": {"chatCompletions": {"enabled": True}}},
            "terminal": {"enabled": False},
        },
        "discovery": {"mdns": {"mode": "off"}},
        "models": {
            "providers": {
                "proof": {
                    "baseUrl": f"http://127.0.0.1:{MODEL_PORT}/v1",
                    "apiKey": "none",
                    "api": "openai-completions",
                    "models": [model],
                }
            }
        },
        "agents": own,
        "tools": {
            **{key: tools[key] for key in _POLICY_OF_TOOLS if key in tools},
            "exec": {
                key: value
                for key, value in (tools.get("exec") or {}).items()
                if key in _POLICY_OF_EXEC
            },
        },
    }


def agents(configuration: Mapping[str, Any]) -> list[str]:
    """Return the agents that take a turn: the default one, and each with a sandbox of its own."""
    section = configuration.get("agents") or {}
    entries = [*(section.get("entries") or {}).items()]
    entries += [(entry["id"], entry) for entry in section.get("list") or []]
    first = next((name for name, entry in entries if entry.get("default")), None)
    first = first or (entries[0][0] if entries else "main")
    own = [
        name
        for name, entry in entries
        if name != first
        and entry.get("sandbox")
        and comparison.policy(configuration, name).get("mode") != "off"
    ]
    return [first, *own]


def browsed(sandbox: Mapping[str, Any]) -> bool:
    """Return whether an agent with this `sandbox` has a sandboxed browser."""
    return bool((sandbox.get("browser") or {}).get("enabled"))


def _browser_network(sandbox: Mapping[str, Any]) -> str | None:
    if not browsed(sandbox):
        return None
    return str({**comparison.BROWSER_DEFAULTS, **sandbox["browser"]}["network"])


def images(sandbox: Mapping[str, Any]) -> list[str]:
    """Return the tags of the images that a policy runs."""
    found = [{**comparison.DEFAULTS, **(sandbox.get("docker") or {})}["image"]]
    if browsed(sandbox):
        found.append({**comparison.BROWSER_DEFAULTS, **sandbox["browser"]}["image"])
    return found


def plan(configuration: Mapping[str, Any], settings: Settings, nonce: str) -> dict[str, Any]:
    """Return what `templates/sandbox/turn.mjs` is to do."""
    chosen = agents(configuration)
    sandboxes = {agent: comparison.policy(configuration, agent) for agent in chosen}
    closed = all(
        {**comparison.DEFAULTS, **(sandbox.get("docker") or {})}["network"] == "none"
        for sandbox in sandboxes.values()
    )
    return {
        "port": GATEWAY_PORT,
        "modelPort": MODEL_PORT,
        "turns": [
            {"agent": agent, "page": nonce if browsed(sandbox) else None}
            for agent, sandbox in sandboxes.items()
        ],
        "network": next(filter(None, map(_browser_network, sandboxes.values())), "none"),
        "command": command(nonce, [*(["connect"] if closed else [])]),
        "readySeconds": settings.gateway.ready_timeout,
        "turnSeconds": settings.gateway.patience(TURN_SECONDS),
    }


def command(nonce: str, words: list[str]) -> str:
    """Return the shell command that looks at a sandbox from inside."""
    script = templates.render("sandbox/inside.py")
    return f"python3 -c {shlex.quote(script)} {nonce} {shlex.quote(' '.join(words))}"


def container(
    there: Mapping[str, Any],
    image: str,
    environment: Mapping[str, str],
    directory: str,
    plan: Mapping[str, Any],
    user: str,
) -> dict[str, Any]:
    """Return the body of the engine's `POST /containers/create` for the proof's gateway.

    It is the running gateway's own host configuration, with its system call filter, groups,
    limits and engine socket; only what leads to its state, to the network and to a restart is
    another's.
    """
    given = copy.deepcopy(dict(there))
    mounts = [mount for mount in given.get("Mounts") or [] if _kept(mount.get("Target", ""))]
    for source, target in ((f"{directory}/config", STATE), (f"{directory}/auth", AUTH)):
        mounts.append({"Type": "bind", "Source": source, "Target": target})
    binds = [bind for bind in given.get("Binds") or [] if _kept(bind.split(":")[1])]
    tmpfs = given.get("Tmpfs") or {}
    uid = user.partition(":")[0]
    tmpfs.setdefault("/home/node/.cache", f"uid={uid},gid={uid},mode=0700,size=512m")
    given |= {
        "Mounts": mounts,
        "Binds": binds,
        "Tmpfs": tmpfs,
        "PortBindings": {},
        "RestartPolicy": {"Name": "no"},
        "LogConfig": {"Type": "json-file", "Config": {}},
    }
    # All it needs is the engine's socket, and the way to its browsers.
    given |= {"NetworkMode": plan["network"], "ExtraHosts": []}
    return {
        "Image": image,
        "User": user,
        "Hostname": "openclaw-proof",
        "Env": [f"{key}={value}" for key, value in environment.items()],
        "Entrypoint": ["node", f"{STATE}/turn.mjs", f"{STATE}/plan.json"],
        "Cmd": [],
        "Healthcheck": {"Test": ["NONE"]},
        "Labels": {},
        "HostConfig": given,
    }


def _kept(target: str) -> bool:
    """Whether a mount of the gateway says nothing of its state: the socket, profiles, CAs."""
    return not (target == "/home/node" or target.startswith("/home/node/"))


def _agent(entry: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    own = {key: copy.deepcopy(entry[key]) for key in ("default", "tools") if key in entry}
    if "sandbox" in entry:
        own["sandbox"] = _separate(copy.deepcopy(entry["sandbox"]), settings, named=False)
    return own


def _separate(sandbox: dict[str, Any], settings: Settings, named: bool = True) -> dict[str, Any]:
    """Keep what belongs to the proof apart from what belongs to the deployment."""
    if not str(sandbox.get("workspaceRoot", STATE)).startswith((STATE, "~/.openclaw")):
        del sandbox["workspaceRoot"]
    for section, suffix in (("docker", "sbx-"), ("browser", "browser-")):
        given = sandbox.get(section)
        if given is None and not named:
            continue
        given = sandbox.setdefault(section, {})
        if named or "containerPrefix" in given:
            given["containerPrefix"] = f"{prefix(settings)}{suffix}"
        if not (sandbox.get("docker") or {}).get("dangerouslyAllowExternalBindSources"):
            given.pop("binds", None)  # inside the deployment's workspaces, which the proof leaves
    return sandbox
