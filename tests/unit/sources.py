"""Python files as the tests of the project's own form read them: each is parsed once."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    """Return all that a file's tree is made of, what is outside first."""
    return tuple(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
