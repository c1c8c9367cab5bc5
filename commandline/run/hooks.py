"""Hooks of a rollout: commands or Python functions on the control machine, before and after."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pyinfra.api.exceptions import PyinfraError

from toolkit.greenlets import DEVNULL, PIPE, STDOUT, Popen


class HookError(PyinfraError):
    """A hook failed; the message says which and why."""


@dataclass(frozen=True)
class Event:
    """What a hook is told; a function gets it as its argument, a command as its environment.

    Args:
        target: what was typed after the verb, `@local` for nothing (`CLAW_TARGET`).
        hosts: before, the hosts that will be changed; after, all hosts (`CLAW_HOSTS`).
        changed: the hosts that were changed (`CLAW_CHANGED`).
        failed: the hosts that failed or were not attempted (`CLAW_FAILED`).
        exit_code: that of the run; before it, None (`CLAW_EXIT_CODE`).
    """

    target: str
    hosts: tuple[str, ...]
    changed: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    exit_code: int | None = None

    def environment(self) -> dict[str, str]:
        """Return the variables of a command; names of hosts are separated by spaces."""
        code = "" if self.exit_code is None else str(self.exit_code)
        return {
            "CLAW_TARGET": self.target,
            "CLAW_HOSTS": " ".join(self.hosts),
            "CLAW_CHANGED": " ".join(self.changed),
            "CLAW_FAILED": " ".join(self.failed),
            "CLAW_EXIT_CODE": code,
        }


def run(name: str, hook: Any, event: Event, say: Callable[[str], None]) -> None:
    """Run a hook and wait for it; `say` gets what a command prints, line by line.

    Raises:
        HookError: the command's exit code is not 0, or the function raised an exception.
    """
    if callable(hook):
        try:
            hook(event)
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
            raise HookError(f"the hook rollout.{name} failed: {said}") from error
        return
    environment = {**os.environ, **event.environment()}
    command = ["sh", "-c", hook]
    process = Popen(command, env=environment, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT)
    try:
        for line in process.stdout or ():
            say(line.decode(errors="replace").rstrip("\n"))
        code = process.wait()
    finally:
        if process.poll() is None:  # interrupted
            process.terminate()
    if code:
        raise HookError(f"the hook rollout.{name} failed: {hook}: exit code {code}")
