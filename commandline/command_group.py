"""Verbs as files, and those that are not there: what to run instead, or which one was meant."""

from __future__ import annotations

import pkgutil
import shlex
from difflib import get_close_matches
from importlib import import_module
from types import ModuleType
from typing import Any

import click

INSTEAD = {
    **dict.fromkeys(("reboot", "reload"), "./claw restart{}"),
    **dict.fromkeys(("halt", "pause"), "./claw stop{}"),
    **dict.fromkeys(("down", "uninstall", "destroy", "undo", "delete"), "./claw remove{}"),
    **dict.fromkeys(("downgrade", "revert", "generations"), "./claw rollback{}"),
    **dict.fromkeys(("deploy", "install", "provision", "apply", "create"), "./claw up{}"),
    "update": "./claw upgrade{} RELEASE",
    **dict.fromkeys(("plan", "diff", "check", "dry"), "./claw up{} --dry --diff"),
    **dict.fromkeys(("ps", "ls", "info", "health"), "./claw status{}"),
    **dict.fromkeys(("log", "tail"), "./claw logs{}"),
    **dict.fromkeys(("config", "show", "validate"), "./claw settings{}"),
    **dict.fromkeys(("hosts", "list"), "./claw inventory{}"),
    **dict.fromkeys(("exec", "run", "openclaw"), "./claw cli{} -- ARGS"),
    **dict.fromkeys(("dashboard", "link", "browser", "ui", "tunnel"), "./claw open{}"),
    "approve": "./claw devices approve{}",
    **dict.fromkeys(("setup", "wizard"), "./claw onboard{}"),
    **dict.fromkeys(("key", "keys", "known-hosts"), "./claw trust{}"),
    **dict.fromkeys(("model", "login", "auth"), "./claw models login PROVIDER"),
    "help": "./claw --help",
    "version": "./claw --version",
}
"""By what somebody may look for; `{}` stands for what was typed behind it."""
NEAR = 0.7
COMPLETE = "_CLAW_COMPLETE"
"""The variable by which click is asked for completions."""


class Verbs(click.Group):
    """A group whose error for an unknown verb names the way; `instead` is its own `INSTEAD`.

    `files` is a package in which a verb VERB is the command of that name in VERB.py. Only that of
    the verb that was typed is loaded:
    https://click.palletsprojects.com/en/stable/complex/#lazily-loading-subcommands
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.instead: dict[str, str] = {}
        self.files: ModuleType | None = None

    def list_commands(self, ctx: click.Context | None) -> list[str]:
        found = pkgutil.iter_modules(self.files.__path__) if self.files else ()
        return sorted({*self.commands, *(file.name for file in found)})

    def get_command(self, ctx: click.Context | None, cmd_name: str) -> click.Command | None:
        if self.files and cmd_name not in self.commands and cmd_name in self.list_commands(ctx):
            there = vars(import_module(f"{self.files.__name__}.{cmd_name}")).values()
            self.add_command(
                next(
                    one for one in there if isinstance(one, click.Command) and one.name == cmd_name
                )
            )
        return self.commands.get(cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, rest = args[0], args[1:]
        known = self.get_command(ctx, name) or name.startswith("-") or ctx.resilient_parsing
        if known:
            return super().resolve_command(ctx, args)
        if way := self.instead.get(name.lower()):
            typed = "".join(f" {shlex.quote(word)}" for word in rest)
            hint = f" Instead: {way.replace('{}', typed)}"
        else:
            near = get_close_matches(name.lower(), self.list_commands(ctx), n=1, cutoff=NEAR)
            hint = f" Did you mean {near[0]!r}?" if near else " All verbs: ./claw --help"
        raise click.UsageError(f"No such verb: {name!r}.{hint}", ctx)
