"""Which names are those of secrets, and what stands in the place of what they name.

The one place that says so. How little is enough depends on what follows: a setting is refused or
hidden where its name says it (`plainly`), a key of openclaw.json where it may (`perhaps`), and a
variable of the gateway's where a part of its name hints at it (`LOGGED`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

HIDDEN = "(hidden)"
_PLAINLY = re.compile(
    r"(token|secret|password|passwd|credential|(api|auth)[_-]?key)s?$", re.IGNORECASE
)
_PERHAPS = re.compile(
    r"token|key|secret|passw|credential|auth|cookie|headers?$|^env$|^vars$|url$|^args$",
    re.IGNORECASE,
)
LOGGED = ("TOKEN", "KEY", "SECRET", "PASS", "CREDENTIAL")
"""Parts of the names, in upper case, of variables whose values the gateway's log does not show
(`masked_log` in `templates/compose/activate.sh.j2`)."""
_CONNECTION = ("password", "kwargs", "_env")
# `--token X` and `--token=X`, but not `--token-file X`, `--gateway-token-ref-env NAME`.
OPTION = re.compile(
    r"--(?:[a-z0-9-]*-)?(?:token|password|passwd|passphrase|secret|credentials?|api-?key|"
    r"(?:private|access|secret|signing|auth|app)-?key)(?:=(.*))?",
    re.IGNORECASE | re.DOTALL,
)
"""An option of OpenClaw's command line that takes a secret; group 1 is the one that it gives."""
CONFIGURED = re.compile(
    r"(?:^|[.\[\]\"'_-])[a-z0-9]*(?:token|password|passphrase|secret|api_?key|private_?key)\"?\]?$",
    re.IGNORECASE,
)
"""A path of OpenClaw's `config set` whose value is a secret."""
MADE = re.compile(
    r"\b\d{6,12}:[A-Za-z0-9_-]{30,}"  # Telegram
    r"|\bsk-[A-Za-z0-9_-]{16,}|\bxox[a-z]-[A-Za-z0-9-]{10,}|\bxapp-[A-Za-z0-9-]{10,}"
    r"|\bgh[pousr]_[A-Za-z0-9]{20,}|\bgithub_pat_\w{20,}|\bAIza[A-Za-z0-9_-]{30,}"
    r"|\btskey-[a-z]+-[A-Za-z0-9-]{10,}|\bAKIA[A-Z0-9]{16}\b|-----BEGIN [A-Z ]*PRIVATE KEY"
)
"""What providers and channels make, wherever it stands."""
_BELOW = (
    ("build", "arguments"),
    ("credentials",),
    ("images", "registry", "password"),
    ("exposure", "tailscale", "auth_key"),
    ("engine", "daemon"),
    ("openclaw",),
)
_LOGIN = re.compile(r"(://)[^/@\s]+@")


def plainly(name: str) -> bool:
    """Return whether a variable or a dotted key is a secret's by its last word."""
    return bool(_PLAINLY.search(name))


def perhaps(keys: Sequence[str]) -> bool:
    """Return whether one of the keys that lead to a value of openclaw.json may be a secret's."""
    return any(_PERHAPS.search(key) for key in keys)


def assigned(key: str) -> bool:
    """Return whether what `--set KEY=` gives is not repeated: a variable may be called anything."""
    return plainly(key) or "environment." in key or "arguments." in key


def within(location: Sequence[str | int]) -> bool:
    """Return whether a value of the settings may be a secret by its place, or hold one."""
    below = any(tuple(location[: len(path)]) == path for path in _BELOW)
    # Who means to name a credential there may have typed it.
    channel = location[:1] in (["channels"], ("channels",))
    of_channel = channel and ("secrets" in location or "options" in location)
    return below or of_channel or "environment" in location


def of_connection(key: str) -> bool:
    """Return whether a key of pyinfra's host data is a secret's."""
    return any(word in key for word in _CONNECTION)


def without_login(text: str) -> str:
    """Return a text with what stands before the `@` of an address hidden."""
    return _LOGIN.sub(f"\\1{HIDDEN}@", text)


def starred(text: str) -> str:
    """Return the same for an error, which is as short as can be."""
    return re.sub(r"//[^/\s]*@", "//***@", text)
