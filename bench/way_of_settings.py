"""How far `settings` travels: the files that a reader passes who follows it through the code.

    .venv/bin/python -m bench.way_of_settings [operations.activation.activated]

A static walk over operations/ and toolkit/: from the named function on, each call that is handed
`settings` (or somebody's `.settings`) is followed, the calls inside its arguments first, each
function once, at its first call. A class that is handed it is followed through all its methods; a
call of a protocol's method into one of the modules that are it, so that there is a walk for each;
a call of a function in a field into the first that an object was made with (the gateway image's).
A stop is a row of functions in one file; a return is a stop in a file that had been left before.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
START = "operations.activation.activated"
Function = ast.FunctionDef


class Code:
    """The functions and methods of the product, by whole name, and what each module imports."""

    def __init__(self, root: Path = ROOT, form: int = 0) -> None:
        self.form = form
        self.functions: dict[str, Function] = {}
        self.imports: dict[str, dict[str, str]] = {}
        self.protocols: set[str] = set()
        self.fields: dict[str, tuple[str, ast.expr]] = {}
        for floor in ("operations", "toolkit"):
            for path in sorted((root / floor).rglob("*.py")):
                name = ".".join(path.relative_to(root).with_suffix("").parts)
                self._read(name.removesuffix(".__init__"), ast.parse(path.read_text("utf-8")))

    def _read(self, module: str, tree: ast.Module) -> None:
        self.imports[module] = {
            alias.asname or alias.name: f"{node.module}.{alias.name}"
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module
            for alias in node.names
        }
        of_fields = {
            node.target.id
            for node in ast.walk(tree)
            if isinstance(node, ast.AnnAssign)
            and ast.unparse(node.annotation).startswith("Callable")
            if isinstance(node.target, ast.Name)
        }
        for node in ast.walk(tree):  # those of the module itself come first
            for given in node.keywords if isinstance(node, ast.Call) else ():
                if given.arg in of_fields:
                    self.fields.setdefault(given.arg, (module, given.value))
        for node in tree.body:
            inside = node.body if isinstance(node, ast.ClassDef) else []
            owner = f"{module}.{node.name}" if isinstance(node, ast.ClassDef) else module
            if isinstance(node, ast.ClassDef) and "Protocol" in map(ast.unparse, node.bases):
                self.protocols.add(owner)
            for one in [node, *inside]:
                if isinstance(one, Function):
                    self.functions[f"{owner}.{one.name}"] = one

    def module(self, name: str) -> str:
        while name not in self.imports:
            name = name.rpartition(".")[0]
        return name

    def found(self, name: str) -> list[str]:
        """Return a function by its whole name, or the methods of a class, wherever it is from."""
        if name in self.functions:
            return [name]
        if methods := [one for one in self.functions if one.rpartition(".")[0] == name]:
            return methods if name not in self.imports else []
        module, _, own = name.rpartition(".")
        if own in self.imports.get(module, {}):
            return self.found(self.imports[module][own])
        return []

    def called(self, module: str, function: ast.expr) -> list[str]:
        """Return the functions that a call may mean: of an object, all methods of that name."""
        if isinstance(function, ast.Name):
            own = self.found(f"{module}.{function.id}")
            return own or self.found(self.imports[module].get(function.id, ""))
        if not isinstance(function, ast.Attribute):
            return []
        if isinstance(function.value, ast.Name):
            name = function.value.id
            for base in (self.imports[module].get(name), f"{module}.{name}"):
                if base and (found := self.found(f"{base}.{function.attr}")):
                    return found
            if self.imports[module].get(name) in self.imports:
                return []
        if function.attr in self.fields:
            return self.called(*self.fields[function.attr])
        return [one for method in self._methods(function.attr) for one in self._meant(method)]

    def _methods(self, name: str) -> list[str]:
        return [
            whole
            for whole in self.functions
            if whole.endswith(f".{name}")
            and whole.split(".")[-2][:1].isupper()
            and "settings" in [one.arg for one in self.functions[whole].args.args]
        ]

    def _meant(self, method: str) -> list[str]:
        """Return a method, or of a protocol's, the functions of the modules that are it."""
        owner, _, name = method.rpartition(".")
        if owner not in self.protocols:
            return [method]
        imported = self.imports[owner.rpartition(".")[0]].values()
        beside = [one for one in imported if one in self.imports]
        found = [f"{one}.{name}" for one in beside if f"{one}.{name}" in self.functions]
        return found[self.form : self.form + 1] or found[:1]

    def calls(self, name: str) -> Iterator[str]:
        """Yield what a function calls with `settings`, in the order of evaluation."""
        for node in _inner_first(self.functions[name]):
            if isinstance(node, ast.Call) and any(
                map(_is_settings, [*node.args, *(keyword.value for keyword in node.keywords)])
            ):
                yield from self.called(self.module(name), node.func)


def _inner_first(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        yield from _inner_first(child)
        yield child


def _is_settings(node: ast.expr) -> bool:
    return (isinstance(node, ast.Name) and node.id == "settings") or (
        isinstance(node, ast.Attribute) and node.attr == "settings"
    )


def stops(code: Code, start: str = START) -> list[str]:
    """Return the modules in which the walk stops, in order."""
    seen: dict[str, None] = {}

    def go(name: str) -> None:
        if name not in seen:
            seen[name] = None
            for called in code.calls(name):
                go(called)

    go(start)
    return [module for module, _ in groupby(map(code.module, seen))]


def main() -> None:
    for form in (0, 1):
        found = stops(Code(Path(sys.argv[2]) if sys.argv[2:] else ROOT, form), *sys.argv[1:2])
        known: set[str] = set()
        for module in found:
            print(f"{'back to ' if module in known else ''}{module}")
            known.add(module)
        returns = len(found) - len(known)
        print(f"{len(found)} stops in {len(known)} files, {returns} of them returns\n")


if __name__ == "__main__":
    main()
