"""What the user typed, for the commands that are printed: each repeats it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from commandline.targets import FAILED
from toolkit import secret_names
from toolkit.settings.sources.function_inventory import REFERENCE

_VERBS = (
    *("channels login [a-z-]+", "models login [a-z-]+"),
    *("backup", "channels", "cli", "devices approve", "devices", "doctor", "drill", "enroll"),
    *("init", "logs", "onboard", "open", "pairing approve", "pairing", "remove", "restart"),
    *("rollback", "rotate", "sandboxes", "start", "stop", "token", "trust", "up", "upgrade"),
    *("verify",),
)
_COMMAND = re.compile(rf"\./claw ({'|'.join(_VERBS)})\b")


@dataclass(frozen=True)
class Given:
    """What was typed after the verb; `flags` are the further options of that `verb`."""

    target: str | None = None
    assignments: tuple[str, ...] = ()
    limit: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    verb: str = "up"

    @classmethod
    def of(cls, target: str | None, options: Mapping[str, Any]) -> Given:
        """Return what the options say that every verb about hosts takes."""
        return cls(target, options["assignments"], options["limit"], options["exclude"])

    def command(self, verb: str, *words: str, hosts: Iterable[str] | None = None) -> str:
        """Return a `./claw` command line that means the same; `hosts`: just these instead.

        A value that may be a secret is left to the user to type again.
        """
        line = ["./claw", *verb.split(), *([] if self.target is None else [self.target])]
        limit, exclude = (self.limit, self.exclude) if hosts is None else ((",".join(hosts),), ())
        pairs = [_shown(pair) for pair in self.assignments]
        for option, values in (("--limit", limit), ("--exclude", exclude), ("--set", pairs)):
            line += [word for value in values for word in (option, value)]
        line += self.flags if verb == self.verb else ()
        return " ".join([*map(shlex.quote, line), *words])

    def about(self, hosts: Iterable[str]) -> Given:
        """Return the same, with the hosts in place of `@failed`, which means others from now on."""
        failed = any(FAILED in one.split(",") for one in (*self.limit, *self.exclude))
        names = ",".join(hosts)
        return replace(self, limit=(names,), exclude=()) if failed and names else self

    def for_host(self, verb: str, host: str, *words: str) -> str:
        """Return the command line about one host of the target."""
        return self.command(verb, *words, hosts=[host] if self._several else None)

    def completed(self, text: str, host: str | None = None) -> str:
        """Return a text of ours whose `./claw VERB` says all that was given; about one `host`."""

        def whole(found: re.Match[str]) -> str:
            return self.for_host(found[1], host) if host else self.command(found[1])

        return _COMMAND.sub(whole, text)

    @property
    def provisions(self) -> bool:
        """Whether the verb does all of `deploy.py`."""
        return self.verb in ("up", "upgrade")

    @property
    def file(self) -> str | None:
        """The inventory file that was given, if it was one."""
        return self.target if (self.target or "").endswith((".py", ".yml", ".yaml")) else None

    @property
    def _several(self) -> bool:
        """Whether the target may stand for more hosts than one."""
        target = self.target or ""
        return bool(self.file or "," in target or target[:1] == "@" or REFERENCE.fullmatch(target))


def _shown(pair: str) -> str:
    key, _, value = pair.partition("=")
    return f"{key}=..." if secret_names.assigned(key) or value.startswith(("{", "[")) else pair
