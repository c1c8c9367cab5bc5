"""How a run goes from host to host: a canary, then batches, and where it stops.

The settings are the section `rollout` of a YAML inventory, the dictionary `rollout` of a Python
inventory, or options of `./claw up`, which win. They are the run's, not a host's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from math import ceil
from typing import Annotated, Any, TypeVar
from weakref import WeakKeyDictionary

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, WithJsonSchema
from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.inventory import Inventory

from toolkit.settings.section import Section

Host = TypeVar("Host")

AT_ONCE = 4
"""So many hosts with a running gateway are changed at once unless something else is asked for."""
CANARY, BATCH = 1, "25%"
ACCEPTED = {
    "canary": "a whole number from 0",
    "batch": "a whole number from 1, or a percentage from 1% to 100%",
    "max_failures": "a whole number from 0",
    "parallel": "a whole number from 1",
    "before": "a command, or in Python a function",
    "after": "a command, or in Python a function",
}
"""What each key accepts, for errors and the command line's help."""


class RolloutError(PyinfraError):
    """The rollout's settings are wrong; the message names every wrong key."""


def _batch(value: str) -> str:
    found = re.fullmatch(r"([1-9]\d{0,5})(%?)", value)
    if not found or (found[2] and int(found[1]) > 100):
        raise ValueError("not a size of batches")
    return value


def _command(value: Any) -> Any:
    if not (callable(value) or (isinstance(value, str) and value.strip())):
        raise ValueError("neither a command nor a function")
    return value


def _text(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Count = Annotated[int, Field(strict=True, ge=0)]
Size = Annotated[
    str,
    BeforeValidator(_text),
    AfterValidator(_batch),
    WithJsonSchema(
        {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": r"^\d+%$"}]}
    ),
]
Hook = Annotated[Any, AfterValidator(_command), WithJsonSchema({"type": "string"})]


class Rollout(Section):
    """In which steps the hosts of a run are changed."""

    canary: Count | None = None
    """Hosts that go first (default: 1, when more than four gateways are running and change)."""
    batch: Size | None = None
    """Size of the batches after it, as a number or a percentage (default: 25%, likewise)."""
    max_failures: Count = 0
    """Hosts that may fail while they are changed before no further batch begins."""
    parallel: Annotated[int, Field(strict=True, ge=1)] | None = None
    """Hosts that are worked on at the same time (default: 20 for each processor)."""
    before: Hook | None = None
    """Runs on this machine before the first change; if it fails, nothing is changed."""
    after: Hook | None = None
    """Runs on this machine at the end of every run, whatever came of it."""

    @property
    def gradual(self) -> bool:
        """Whether steps were asked for."""
        return self.canary is not None or self.batch is not None

    def batches(
        self, hosts: Sequence[Host], running: Callable[[Host], bool] = lambda host: True
    ) -> list[list[Host]]:
        """Divide the hosts that change into steps, in their order; every host is in one.

        Where nothing was asked for, hosts on which no gateway is `running` are in the first step:
        a first deploy of fifty hosts can break nothing, so it need not take fourteen steps.
        """
        careful = list(hosts) if self.gradual else [host for host in hosts if running(host)]
        if not self.gradual and len(careful) <= AT_ONCE:
            return [list(hosts)] if hosts else []
        size = max(1, self._size(len(careful)))
        canary = CANARY if self.canary is None else self.canary
        first, rest = careful[:canary], careful[canary:]
        if len(careful) < len(hosts):
            first = [host for host in hosts if host in first or host not in careful]
        steps = [first] if first else []
        return steps + [rest[start : start + size] for start in range(0, len(rest), size)]

    def _size(self, hosts: int) -> int:
        batch = self.batch or BATCH
        return ceil(hosts * int(batch[:-1]) / 100) if batch.endswith("%") else int(batch)


def problems(data: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the wrong keys of a rollout section, each with what is wrong with it."""
    try:
        Rollout.model_validate(dict(data))
    except ValidationError as error:
        found = {str(item["loc"][0]): item["type"] for item in error.errors(include_url=False)}
        return [
            (key, f"unknown key; accepted: {', '.join(ACCEPTED)}")
            if type == "extra_forbidden"
            else (key, f"given {data[key]!r}; accepted: {ACCEPTED[key]}")
            for key, type in found.items()
        ]
    return []


_declared: WeakKeyDictionary[Inventory, Mapping[str, Any]] = WeakKeyDictionary()


def declare(inventory: Inventory, data: Mapping[str, Any]) -> None:
    """Remember what an inventory says of its rollout."""
    _declared[inventory] = data


def rollout_for(inventory: Inventory, options: Mapping[str, Any]) -> Rollout:
    """Return the rollout of an inventory; `options` that are not None win.

    Raises:
        RolloutError: a key is unknown or its value is not accepted.
    """
    declared = _declared.get(inventory, {})
    if not isinstance(declared, Mapping):
        raise RolloutError("the inventory's rollout is wrong: accepted: a dictionary")
    given = {key: value for key, value in options.items() if value is not None}
    wrong = [f"rollout.{key}: {message}" for key, message in problems(declared)]
    wrong += [f"--{key.replace('_', '-')}: {message}" for key, message in problems(given)]
    if wrong:
        lines = "\n".join(f"  {line}" for line in wrong)
        raise RolloutError(f"the rollout is wrong; no host was touched\n{lines}")
    return Rollout.model_validate({**declared, **given})
