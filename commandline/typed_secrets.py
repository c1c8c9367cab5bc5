"""Secrets that somebody types on a command line, OpenClaw's own or ours: found before they go on
their way into process lists, histories and `docker inspect`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from toolkit import secret_names

_WHY = "a secret on a command line is read by everybody who sees processes or a shell's history"
IN_THE_INVENTORY = (
    f"{_WHY}; give it in the inventory, by reference where that is taken (env, file, command); "
    "sudo's password is asked for on a terminal"
)
ADVICE = (
    f"{_WHY}; nothing was sent. Give it by reference, and take it from there: credentials: "
    "{NAME: {file: FILE}} in the settings, ./claw up, then the command with --use-env or a "
    "SecretRef; or run the command without it on a terminal, where it asks"
)
_REFERENCE = re.compile(r"\s*\{.*[\"']?source[\"']?\s*:", re.DOTALL)


def found(arguments: Sequence[str]) -> str | None:
    """Return the argument that gives a secret, without the secret; None if there is none."""
    for number, word in enumerate(arguments):
        following = arguments[number + 1] if number + 1 < len(arguments) else ""
        if option := secret_names.OPTION.fullmatch(word):
            value = following if option[1] is None else option[1]
            if value and not value.startswith("-"):
                return word.partition("=")[0]
        if secret_names.MADE.search(word):
            before = arguments[number - 1] if number else ""
            return before if before.startswith("-") else f"argument {number + 1}"
    return _set(arguments)


def _set(arguments: Sequence[str]) -> str | None:
    """Return the key that `config set KEY VALUE` gives a secret literally."""
    words = [word for word in arguments if not word.startswith("-")]
    if words[:2] != ["config", "set"] or len(words) < 4:
        return None
    key, value = words[2:4]
    literal = not _REFERENCE.match(value) and value not in ("null", "true", "false")
    return f"config set {key}" if secret_names.CONFIGURED.search(key) and literal else None
