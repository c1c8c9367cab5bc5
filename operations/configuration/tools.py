"""Which tools sandboxed sessions may use, and where commands run, as openclaw.json wants it.

A denied tool stays denied. OpenClaw's own lists deny `browser`, and a list that is given replaces
them; `alsoAllow` adds to them (docs: gateway/config-agents/sandbox).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from toolkit.settings.sandbox.model import Sandbox, SandboxAgent
from toolkit.settings.sandbox.types import tool_matches

# The lists of releases whose sandboxes know no `alsoAllow`; channels need no denial, since what is
# not allowed is none of theirs.
_OLD_ALLOW = (
    "exec process read write edit apply_patch image sessions_list sessions_history sessions_send "
    "sessions_spawn subagents session_status"
)
_OLD_DENY = "browser canvas nodes cron gateway"


def of_all(sandbox: Sandbox, keyed: bool) -> dict[str, Any]:
    """Return `tools.sandbox.tools`; `keyed`: of a release with a keyed roster."""
    tools = sandbox.tools
    also = _with_browser(tools.also_allow, sandbox.browser.enabled and tools.allow is None)
    return _lists(tools.allow, also, tools.deny, keyed)


def of_agent(sandbox: Sandbox, agent: SandboxAgent, browser: bool, keyed: bool) -> dict[str, Any]:
    """Return the same of one agent, without the lists that it shares with all."""
    tools, given = agent.tools, agent.tools.model_fields_set
    extra = tools.also_allow if "also_allow" in given else sandbox.tools.also_allow
    also = _with_browser(extra, browser and tools.allow is None)
    lists = _lists(tools.allow, also, tools.deny, keyed)
    if not given and browser == sandbox.browser.enabled:
        return dict.fromkeys(lists)
    if tools.allow is not None and keyed:
        lists["alsoAllow"] = []  # or those of all agents would be added
    return lists


def exec_host(mode: str, there: Mapping[str, Any]) -> str | None:
    """Return `tools.exec.host`: `sandbox` makes a command outside of a sandbox an error, where
    there must be none; else it is the user's."""
    if mode == "all":
        return "sandbox"
    return None if there.get("host") == "sandbox" else there.get("host")


def _with_browser(also: Collection[str], wanted: bool) -> list[str]:
    return [*also, "browser"] if wanted and not tool_matches(also, "browser") else list(also)


def _lists(
    allow: Collection[str] | None, also: list[str], deny: Collection[str] | None, keyed: bool
) -> dict[str, Any]:
    if also and not keyed:
        allow = [*_OLD_ALLOW.split(), *also]
        deny = [tool for tool in _OLD_DENY.split() if tool not in also] if deny is None else deny
        also = []
    return {
        "allow": None if allow is None else list(allow),
        "alsoAllow": also or None,
        "deny": None if deny is None else list(deny),
    }
