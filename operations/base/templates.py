"""Rendering of `templates/`: Jinja2, where an undefined name is an error, and so is a value that
is written without a filter (`operations.base.quoting`).
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field, is_dataclass
from functools import lru_cache
from pathlib import Path
from types import CodeType
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from jinja2.bccache import Bucket, FileSystemBytecodeCache
from pydantic import BaseModel

from operations.base import quoting, shell_position
from operations.base.quoting import Script

DIRECTORY = Path(__file__).resolve().parents[2] / "templates"
_PLAIN = (str, int, float, bool, type(None), Script)
_RULES = "".join(
    Path(module.__file__ or "").read_text(encoding="utf-8") for module in (quoting, shell_position)
)


class _BytecodeCache(FileSystemBytecodeCache):
    """Compiled templates, where Python keeps compiled modules: as safe, and as dispensable."""

    def dump_bytecode(self, bucket: Bucket) -> None:
        with contextlib.suppress(OSError):
            Path(self.directory).mkdir(exist_ok=True)
            super().dump_bytecode(bucket)

    def get_source_checksum(self, source: str) -> str:
        return super().get_source_checksum(source + _RULES)  # what was checked by other rules


class Templates(Environment):
    """Templates in which every value goes through a filter that its place allows."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            auto_reload=False,  # nobody changes them while they are used
            optimized=False,  # else what a filter makes of a constant would be kept, too
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            autoescape=lambda name: quoting.language(name or "") == "html",
            **options,
        )
        self.filters.update(quoting.FILTERS)

    def compile(self, source: Any, name: str | None = None, *arguments: Any, **more: Any) -> Any:
        """Compile a template.

        Raises:
            UnfilteredError: it writes a value without a filter that the place allows.
        """
        if isinstance(source, str):
            source = self.parse(source, name)
            quoting.check(source, name or "")
        compiled: CodeType | str = super().compile(source, name, *arguments, **more)
        return compiled


_environment = Templates(
    loader=FileSystemLoader(DIRECTORY),
    bytecode_cache=_BytecodeCache(str(Path(__file__).parent / "__pycache__")),
)


def render(name: str, /, **variables: Any) -> Script:
    """Return the template `name` (relative to `templates/`) rendered with `variables`.

    Raises:
        jinja2.UndefinedError: the template uses a name that was not given.
        UnsafeValueError: a value cannot be written where the template has it.
    """
    try:
        given = tuple((key, _frozen(value)) for key, value in variables.items())
    except TypeError:
        return _rendered(name, variables)
    return _kept(name, _Variables(given, variables))


@dataclass(frozen=True)
class _Variables:
    """Variables of a template, and that by which they are known again, types included."""

    frozen: tuple[Any, ...]
    given: dict[str, Any] = field(compare=False)


@lru_cache(maxsize=128)
def _kept(name: str, variables: _Variables) -> Script:
    return _rendered(name, variables.given)


def _rendered(name: str, variables: dict[str, Any]) -> Script:
    return Script(_environment.get_template(name).render(**variables))


def _frozen(value: Any) -> tuple[Any, ...]:
    """Return what is equal for values of the same types and content alone.

    Raises:
        TypeError: its content cannot be seen.
    """
    kind = type(value)
    if kind in _PLAIN:
        return kind, value
    if kind in (list, tuple):
        return kind, *map(_frozen, value)
    if kind is dict:
        return kind, *((_frozen(key), _frozen(one)) for key, one in value.items())
    if isinstance(value, BaseModel) or is_dataclass(value):
        return kind, _frozen(vars(value))
    raise TypeError(kind)
