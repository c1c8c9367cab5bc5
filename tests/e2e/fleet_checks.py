"""A check of the preflight for the deploy files of tests: it does not depend on the machine."""

from __future__ import annotations

from collections.abc import Iterable

from operations.base import preflight
from operations.base.preflight import Problem
from toolkit.settings import Settings


@preflight.check
def memory_problems(settings: Settings) -> Iterable[Problem]:
    if settings.gateway.memory == "900g":
        yield Problem("gateway.memory is 900g, which no host here has", "ask for less")
