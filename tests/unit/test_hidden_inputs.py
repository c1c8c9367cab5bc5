"""Nothing below the command line takes what nobody handed to it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.unit import sources

ROOT = Path(__file__).resolve().parents[2]


def nodes(*floors: str) -> Iterator[tuple[str, ast.AST]]:
    for floor in floors:
        for path in sorted((ROOT / floor).rglob("*.py")):
            name = path.relative_to(ROOT)
            for node in sources.nodes(path):
                yield f"{name}:{getattr(node, 'lineno', 0)}", node


def test_only_the_command_line_reads_the_arguments_of_the_process() -> None:
    found = [where for where, node in nodes("toolkit", "operations") if _is_argv(node)]
    assert not found


def test_nothing_is_kept_by_a_number_that_another_object_may_have_later() -> None:
    found = [
        where
        for where, node in nodes("toolkit", "operations", "commandline")
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "id"
    ]
    assert not found


def test_a_key_of_a_hosts_own_data_is_known_to_one_module() -> None:
    """What others read of it is a field of `notes.Notes`."""
    found = []
    for where, node in nodes("toolkit", "operations", "commandline"):
        key: ast.AST | None = None
        if isinstance(node, ast.Subscript) and _is_data(node.value):
            key = node.slice
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            key = node.args[0] if _is_data(node.func.value) else None
        own = isinstance(key, ast.Name) and key.id.startswith("_")
        if key is not None and not own and not where.startswith("toolkit/pyinfra_internals.py"):
            found.append(f"{where} {ast.unparse(key)}")
    assert not found


def _is_argv(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and node.attr in ("argv", "orig_argv")


def _is_data(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "connector_data"
