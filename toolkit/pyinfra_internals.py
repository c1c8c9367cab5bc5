"""What pyinfra works out anew for each operation on each host, worked out once or for less; and the
output of commands, read with limits."""

from __future__ import annotations

import sys
from functools import cache
from traceback import walk_stack
from types import FrameType, ModuleType
from typing import Any, NamedTuple

from pyinfra.api import arguments, connectors, util
from pyinfra.connectors import ssh
from pyinfra.connectors import util as connector_util

from toolkit.output import read_output_buffers

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
    replace(util, stack=_stack, getframeinfo=_place)
    replace(arguments, all_global_arguments=_all_global_arguments)
    replace(connectors, entry_points=_entry_points)
    for module in (connector_util, ssh):
        replace(module, read_output_buffers=read_output_buffers)


def replace(module: ModuleType, **names: Any) -> None:
    """Put something in the place of names of a module.

    Raises:
        AttributeError: there is no such name any more.
    """
    for name, value in names.items():
        getattr(module, name)
        setattr(module, name, value)
