"""Rendering of `templates/`: Jinja2, where an undefined name is an error."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from shlex import quote
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from jinja2.bccache import Bucket, FileSystemBytecodeCache

DIRECTORY = Path(__file__).resolve().parent.parent / "templates"


class _BytecodeCache(FileSystemBytecodeCache):
    """Compiled templates, where Python keeps compiled modules: as safe, and as dispensable."""

    def dump_bytecode(self, bucket: Bucket) -> None:
        with contextlib.suppress(OSError):
            Path(self.directory).mkdir(exist_ok=True)
            super().dump_bytecode(bucket)


_environment = Environment(
    loader=FileSystemLoader(DIRECTORY),
    bytecode_cache=_BytecodeCache(str(Path(__file__).parent / "__pycache__")),
    optimized=False,  # else what a filter makes of a constant would be kept, too
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
    autoescape=False,
)
_environment.filters["sh"] = lambda value: quote(str(value))
_environment.filters["json"] = lambda value: json.dumps(value, ensure_ascii=False)
_environment.filters["compose"] = lambda value: json.dumps(
    str(value).replace("$", "$$"), ensure_ascii=False
)
_environment.filters["unit"] = lambda value: json.dumps(str(value), ensure_ascii=False).replace(
    "%", "%%"
)


def render(name: str, /, **variables: Any) -> str:
    """Return the template `name` (relative to `templates/`) rendered with `variables`.

    Filters beside Jinja2's own: `sh` quotes a word for a shell, `json` writes JSON, which is
    also how a string is written safely into YAML; `compose` does so for a string in which
    Compose must not interpolate variables, `unit` for a unit of systemd.

    Raises:
        jinja2.UndefinedError: the template uses a name that was not given.
    """
    return _environment.get_template(name).render(**variables)
