"""Variables for a template, found in its own text: hostile wherever a filter quotes them, harmless
where a filter only lets harmless ones through; and what a shell reads in a script."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

from jinja2 import meta, nodes

from operations.base import templates
from operations.base.quoting import FILTERS, VERIFYING, Script

HARMLESS = {"number": "1", "name": "a", "plain": "a1", "path": "/a", "setting": "Key=a"}
GIVEN: dict[str, Any] = {"owner": "1:1", "port": 1}
"""Variables of whose form a template takes a part."""


class Value(str):
    """A string that also is the list, the mapping or the object that a template takes it for."""

    _variables: Variables
    _own_path: str

    def __iter__(self) -> Iterator[Any]:
        return iter(self._variables.elements(self._own_path) if self else ())

    def items(self) -> list[Any]:
        return self._variables.elements(f"{self._own_path}.items()") if self else []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return self._variables.value(f"{self._own_path}.{name}")


class Variables:
    """The variables of a template; `empty` of them are false, `forced` hostile in any case. Without
    an evil value each has one that names it, and needs quotes."""

    def __init__(
        self, tree: nodes.Template, evil: str = "", empty: Iterable[str] = (), forced: str = ""
    ) -> None:
        self.tree, self.evil, self.empty, self.forced = tree, evil, set(empty), forced
        self.filters, self.loops = _filters(tree), _loops(tree)

    def named(self, path: str) -> str:
        return f"/z {path} z"

    def verified(self) -> list[str]:
        """The variables that a filter must refuse when they are hostile."""
        inner: list[nodes.Node] = [
            *self.tree.find_all(nodes.Assign),
            *(
                one
                for macro in self.tree.find_all(nodes.Macro)
                for one in macro.find_all(nodes.For)
            ),
        ]
        own = {one.target.name for one in inner}  # type: ignore[attr-defined]
        own |= {one.name for macro in self.tree.find_all(nodes.Macro) for one in macro.args}
        return sorted(
            path
            for path, found in self.filters.items()
            if found & {*VERIFYING, "script"} and path.partition(".")[0] not in {"loop", *own}
        )

    def value(self, path: str) -> Any:
        filters = self.filters.get(path, set())
        if path != self.forced and path not in self.empty:
            if path in GIVEN:
                return GIVEN[path]
            if "script" in filters:
                return Script(":\n")
        found = [HARMLESS[one] for one in ("number", "name", *HARMLESS) if one in filters]
        evil = self.evil or self.named(path)
        text = "" if path in self.empty else found[0] if found and path != self.forced else evil
        value = Value(text)
        value._variables, value._own_path = self, path
        return value

    def elements(self, path: str) -> list[Any]:
        loop = self.loops.get(path)
        if loop is None:
            return [self.value(path)]
        if isinstance(loop.target, nodes.Tuple):
            return [tuple(self.value(one.name) for one in loop.target.items)]  # type: ignore[attr-defined]
        return [self.value(loop.target.name)]  # type: ignore[attr-defined]

    def all(self, names: Iterable[str]) -> dict[str, Any]:
        return {name: self.value(name) for name in names}


@cache
def _filters(tree: nodes.Template) -> dict[str, set[str]]:
    """The filters of each variable; '' where it is written as it is."""
    found: dict[str, set[str]] = {}

    def note(node: nodes.Node, applied: str) -> None:
        if isinstance(node, nodes.Filter):
            if node.name == "int":
                return
            if node.name in FILTERS and node.name != "json" and applied not in VERIFYING:
                applied = node.name
        if path := _path(node):
            found.setdefault(path, set()).add(applied)
            return
        test = ("test",) if isinstance(node, nodes.CondExpr) else ()
        for child in node.iter_child_nodes(exclude=test):
            note(child, applied)

    for output in tree.find_all(nodes.Output):
        for child in output.nodes:
            note(child, "")
    return found


@cache
def _loops(tree: nodes.Template) -> dict[str, nodes.For]:
    return {_iterated(one.iter): one for one in tree.find_all(nodes.For)}


@cache
def wanted(name: str) -> set[str]:
    """Return the variables that a template must be given."""
    return meta.find_undeclared_variables(parsed(name))


@cache
def conditions(tree: nodes.Template) -> list[str]:
    """Return the variables on which the ways through a template depend."""
    found = (name for one in tree.find_all(nodes.If) for name in one.test.find_all(nodes.Name))
    alone = (one.test.name for one in tree.find_all(nodes.If) if isinstance(one.test, nodes.Name))
    return sorted({*(name.name for name in found), *alone})


def _iterated(node: nodes.Node) -> str:
    called = node.node if isinstance(node, nodes.Call) else node
    if isinstance(called, nodes.Getattr) and called.attr == "items":
        return f"{_path(called.node)}.items()"
    return _path(called)


def _path(node: nodes.Node) -> str:
    if isinstance(node, nodes.Name):
        return node.name
    if isinstance(node, nodes.Getattr) and not hasattr(str, node.attr):
        base = _path(node.node)
        return base and f"{base}.{node.attr}"
    return ""


@cache
def parsed(name: str) -> nodes.Template:
    """Return the tree of a template together with those of the templates that it includes."""
    tree = templates._environment.parse((templates.DIRECTORY / name).read_text())
    for one in [*tree.find_all(nodes.Include), *tree.find_all(nodes.FromImport)]:
        other = one.template.value  # type: ignore[attr-defined]
        if other.endswith(".j2"):
            tree.body += parsed(other).body
    return tree


def readings(scripts: list[str]) -> list[str]:
    """Return scripts as bash has understood them: grammar in one form, words as they are."""
    found: list[str] = []
    for batch in _batches(scripts):
        names = [f"script{number}" for number in range(len(batch))]
        functions = {
            f"BASH_FUNC_{name}%%": f"() {{ :\n{script}\n}}"
            for name, script in zip(names, batch, strict=True)
        }
        done = subprocess.run(
            [
                "bash",
                "-c",
                'for name; do declare -f "$name" || exit; printf "\\0"; done',
                "",
                *names,
            ],
            env={**os.environ, **functions},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise ValueError(done.stderr)
        found += [one.partition("\n")[2] for one in done.stdout.split("\0")[:-1]]
    assert len(found) == len(scripts)
    return found


def _batches(scripts: list[str]) -> Iterator[list[str]]:
    """Yield as many scripts at a time as the environment of a process may hold."""
    batch: list[str] = []
    for script in scripts:
        if sum(map(len, [*batch, script])) > 300_000 and batch:
            yield batch
            batch = []
        batch.append(script)
    yield batch
