"""The form of what the toolkit reads of openclaw.json, which the gateway's agents can write.

Only keys that are read are looked at, and null counts as absent, as it does for OpenClaw. So what
comes out of `private` needs no further look at its types.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

ANY = "*"
_TEXT, _NUMBER, _FLAG, _SIZE = (str,), (int, float), (bool,), (str, int, float)
_TEXTS: list[Any] = [_TEXT]
_DOCKER_SIZE = r"(?i:(-?\d{1,18}(\.\d{0,18})?[kmg]?b?)?)"
_NAMES = {
    _TEXT: "a text",
    _NUMBER: "a number",
    _FLAG: "true or false",
    _SIZE: "a size such as 512m",
}
_DOCKER: dict[str, Any] = {
    **dict.fromkeys(
        ("image", "workdir", "network", "user", "setupCommand", "containerPrefix"), _TEXT
    ),
    **dict.fromkeys(("seccompProfile", "apparmorProfile"), _TEXT),
    **dict.fromkeys(("tmpfs", "capDrop", "dns", "extraHosts", "binds"), _TEXTS),
    **dict.fromkeys(("pidsLimit", "cpus"), _NUMBER),
    **dict.fromkeys(("memory", "memorySwap"), _SIZE),
    "readOnlyRoot": _FLAG,
    "env": {},
    "ulimits": {},
}
_BROWSER: dict[str, Any] = {
    **dict.fromkeys(("image", "network", "containerPrefix"), _TEXT),
    "enabled": _FLAG,
    "binds": _TEXTS,
}
_SANDBOX: dict[str, Any] = {
    **dict.fromkeys(("mode", "scope", "workspaceAccess", "workspaceRoot"), _TEXT),
    "docker": _DOCKER,
    "browser": _BROWSER,
    "prune": {},
}
_TOOLS: dict[str, Any] = {"sandbox": {"tools": {}}, "exec": {}}
_AGENT: dict[str, Any] = {"workspace": _TEXT, "sandbox": _SANDBOX, "tools": _TOOLS}
_CONFIGURATION: dict[str, Any] = {
    "gateway": {"auth": {}},
    "agents": {
        "defaults": _AGENT,
        "entries": {ANY: _AGENT},
        "list": [{**_AGENT, "id": _TEXT}],
    },
    "tools": _TOOLS,
}


class WrongFormError(ValueError):
    """A key has not the form that OpenClaw gives it; the message names it."""


def of(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Return openclaw.json without the nulls in what is read of it.

    Raises:
        WrongFormError: see there.
    """
    return dict(_of(configuration, _CONFIGURATION, ""))


def _of(there: Any, wanted: Any, path: str) -> Any:
    if isinstance(wanted, dict):
        if not isinstance(there, Mapping):
            raise WrongFormError(f"{path} is not an object")
        below = f"{path}." if path else ""
        if "id" in wanted and there.get("id") is None:
            raise WrongFormError(f"{below}id is not a text")
        forms = {key: wanted.get(key, wanted.get(ANY)) for key in there}
        return {
            key: one if forms[key] is None else _of(one, forms[key], f"{below}{key}")
            for key, one in there.items()
            if one is not None or forms[key] is None
        }
    if isinstance(wanted, list):
        if not isinstance(there, list):
            raise WrongFormError(f"{path} is not a list")
        return [_of(one, wanted[0], f"{path}.{number}") for number, one in enumerate(there)]
    right = isinstance(there, wanted) and (bool in wanted or not isinstance(there, bool))
    if not right or (wanted is _SIZE and not re.fullmatch(_DOCKER_SIZE, str(there).strip())):
        raise WrongFormError(f"{path} is not {_NAMES[wanted]}")
    return there
