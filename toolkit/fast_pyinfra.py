"""What pyinfra works out anew for each operation on each host, worked out once or for less."""

from __future__ import annotations

import sys
from functools import cache
from traceback import walk_stack
from types import FrameType
from typing import NamedTuple

from pyinfra.api import arguments, connectors, util

_all_global_arguments = cache(arguments.all_global_arguments)
_entry_points = cache(connectors.entry_points)


class Place(NamedTuple):
    """What pyinfra reads of `inspect.Traceback`, without the source of every caller."""

    filename: str
    lineno: int


def _stack() -> list[tuple[FrameType, int]]:
    return list(walk_stack(sys._getframe(1)))


def _place(frame: FrameType) -> Place:
    return Place(frame.f_code.co_filename, frame.f_lineno)


def install() -> None:
    """Put it in the place of pyinfra's own."""
    vars(util).update(stack=_stack, getframeinfo=_place)
    vars(arguments).update(all_global_arguments=_all_global_arguments)
    vars(connectors).update(entry_points=_entry_points)
