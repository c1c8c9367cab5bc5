"""How a template writes a value into the language of its file, and the refusal of one that does
not: every `{{ }}` ends in a filter that the place allows.

Some filters quote, each for one place; others verify, and write what means nothing in any place:

- `sh` a word of a shell script, `words` several; `script` what a template has made;
- `compose` a value of a Compose file, in which Compose interpolates nothing;
- `unit` a word of a systemd unit, `setting` a whole line of it;
- `run` a word of a Dockerfile's shell; `path` a quoted path of an AppArmor profile;
- `line` text up to the end of the line, of an apt source;
- `plain` a word, or words, of harmless characters, `name` an identifier, `number` a number.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterable
from typing import Any

from jinja2 import nodes
from pyinfra.api.exceptions import PyinfraError

from operations.base.shell_position import Position

VERIFYING = frozenset({"plain", "name", "number"})
_PLAIN = re.compile(r"[A-Za-z0-9_./:@=,+!-][A-Za-z0-9_./:@=,+!~-]*")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
# What YAML takes in quotes only as an escape.
_UNPRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")
_STATEMENTS = (
    *(nodes.Output, nodes.If, nodes.For, nodes.Assign),
    *(nodes.Include, nodes.FromImport, nodes.Macro),
)


class UnsafeValueError(PyinfraError):
    """A value cannot be written where a template has it."""


class UnfilteredError(Exception):
    """A template writes a value without a filter that the place allows."""


class Script(str):
    """Text that a template has made: another template may take it as it is."""

    __slots__ = ()


def joined(*scripts: Script) -> Script:
    """Return scripts as one."""
    if wrong := [one for one in scripts if not isinstance(one, Script)]:
        raise TypeError(f"not made by a template: {wrong[0][:80]!r}")
    return Script("\n".join(one.rstrip("\n") for one in scripts))


def _refuse(value: object, what: str) -> UnsafeValueError:
    return UnsafeValueError(f"{ascii(value)[:200]} is not {what}")


def _one_line(value: object) -> str:
    text = str(value)
    if not text.isprintable():
        raise _refuse(value, "printable text on one line")
    return text


def script(value: object) -> str:
    if value and not isinstance(value, Script):
        raise _refuse(value, "what a template has made")
    return str(value or "")


def words(values: Iterable[object]) -> str:
    return " ".join(shlex.quote(str(value)) for value in values)


def compose(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False).replace("$", "$$")
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def unit(value: object) -> str:
    return json.dumps(str(value), ensure_ascii=False).replace("%", "%%")


def setting(value: object) -> str:
    text = _one_line(value)
    if not re.match("[A-Z][A-Za-z0-9]*=", text) or text.startswith("Exec") or text.endswith("\\"):
        raise _refuse(value, "a setting of a unit")
    return text if re.fullmatch(r"\w+=[0-9]+%", text) else text.replace("%", "%%")


def path(value: object) -> str:
    text = _one_line(value)
    if not text.startswith("/") or '"' in text or "\\" in text:
        raise _refuse(value, "a path without quotes and backslashes")
    return re.sub(r"([*?^\[\]{}])", r"\\\1", text)


def plain(value: object) -> str:
    given = [value] if isinstance(value, str | int) else list(value)  # type: ignore[call-overload]
    for one in given:
        if isinstance(one, bool) or not _PLAIN.fullmatch(str(one)):
            raise _refuse(one, "of letters, digits and _./:@=,+!~- alone")
    return " ".join(map(str, given))


def name(value: object) -> str:
    if not _NAME.fullmatch(str(value)):
        raise _refuse(value, "a name of letters, digits and underscores")
    return str(value)


def number(value: object) -> str:
    if isinstance(value, bool) or not _NUMBER.fullmatch(str(value)):
        raise _refuse(value, "a number")
    return str(value)


FILTERS: dict[str, Callable[[Any], str]] = {
    "sh": lambda value: shlex.quote(str(value)),
    "words": words,
    "script": script,
    "compose": compose,
    "unit": unit,
    "setting": setting,
    "json": lambda value: json.dumps(value, ensure_ascii=False),
    "run": lambda value: shlex.quote(_one_line(value)),
    "path": path,
    "line": _one_line,
    "plain": plain,
    "name": name,
    "number": number,
}


# Which of them a place allows: of the text of the line before it, or of a position in a script


def _yaml(line: str) -> Iterable[str]:
    if line.count('"') % 2:
        return VERIFYING
    return () if line.count("'") % 2 else ("compose", "name", "number")


def _unit(line: str) -> Iterable[str]:
    if not line:
        return ("setting",)
    return (*VERIFYING, "unit") if re.fullmatch(r"(?!Exec)[A-Z]\w*=(\0 )*", line) else VERIFYING


def _dockerfile(line: str) -> Iterable[str]:
    return VERIFYING if line.count('"') % 2 or line.count("'") % 2 else (*VERIFYING, "run")


def _apparmor(line: str) -> Iterable[str]:
    return (*VERIFYING, "path") if re.fullmatch(r'\s*"', line) else VERIFYING


def _sources(line: str) -> Iterable[str]:
    return ("line",) if re.fullmatch(r"[A-Z][A-Za-z-]*: ", line) else ()


_LINES: dict[str, Callable[[str], Iterable[str]]] = {
    "yml": _yaml,
    "service": _unit,
    "Dockerfile": _dockerfile,
    "apparmor": _apparmor,
    "sources": _sources,
    "nft": lambda line: VERIFYING,
    "conf": lambda line: VERIFYING,
    "caddy": lambda line: VERIFYING,
}


def language(template: str) -> str:
    """Return the language of a template's file, by its name; '' if it is none of a template's."""
    stem, dot, end = template.rpartition("/")[2].rpartition(".")
    return stem.rpartition(".")[2] if dot and end == "j2" else ""


def check(tree: nodes.Template, template: str) -> None:
    """Raise UnfilteredError if a template writes a value without a filter of its place."""
    kind = language(template)
    if kind == "html":  # Jinja2 escapes every value of it, unless it is told otherwise
        raw = (nodes.ScopedEvalContextModifier, nodes.EvalContextModifier, nodes.MarkSafe)
        safe = [one for one in tree.find_all(nodes.Filter) if one.name in ("safe", "forceescape")]
        for node in (*safe, *tree.find_all(raw)):
            raise UnfilteredError(f"templates/{template}, line {node.lineno}: it is not escaped")
        return
    _Check(template, kind, tree).body(tree.body, Position())


class _Check:
    def __init__(self, template: str, kind: str, tree: nodes.Template) -> None:
        self.template, self.kind, self.line = template, kind, ""
        self.macros = {macro.name for macro in tree.find_all(nodes.Macro)}
        for imported in tree.find_all(nodes.FromImport):
            self.macros |= {one if isinstance(one, str) else one[1] for one in imported.names}

    def refuse(self, node: nodes.Node, what: str) -> UnfilteredError:
        return UnfilteredError(f"templates/{self.template}, line {node.lineno}: {what}")

    def body(self, body: list[nodes.Node], at: Position) -> Position:
        for node in body:
            if not isinstance(node, _STATEMENTS):
                raise self.refuse(node, f"{type(node).__name__} is not allowed in a template")
            if isinstance(node, nodes.Output):
                for child in node.nodes:
                    at = self.output(child, at)
            elif isinstance(node, nodes.If):
                ways = [node.body, *(one.body for one in node.elif_), node.else_]
                at = self.alike(node, [self.body(way, at) for way in ways])
            elif isinstance(node, nodes.For):
                at = self.alike(node, [at, self.body(node.body, at)])
            elif isinstance(node, nodes.Macro):
                self.body(node.body, Position())
            elif isinstance(node, nodes.Include | nodes.FromImport):
                self.included(node, at)
        return at

    def alike(self, node: nodes.Node, ends: list[Position]) -> Position:
        if self.kind == "sh" and any(one.open != ends[0].open for one in ends):
            raise self.refuse(node, "one way through it leaves a quote open")
        return ends[0]

    def included(self, node: nodes.Include | nodes.FromImport, at: Position) -> None:
        other = node.template.value if isinstance(node.template, nodes.Const) else None
        if not isinstance(other, str):
            raise self.refuse(node, "what is included must be named")
        if language(other) not in ("", self.kind):
            raise self.refuse(node, f"{other} is of another language")
        if self.kind == "sh" and language(other) and at.open:
            raise self.refuse(node, f"{other} is included into a quoted text")

    def output(self, node: nodes.Expr, at: Position) -> Position:
        if isinstance(node, nodes.TemplateData):
            self.line = (self.line + node.data).rpartition("\n")[2]
            try:
                return at.after(node.data) if self.kind == "sh" else at
            except ValueError as error:
                raise self.refuse(node, str(error)) from None
        if self.kind == "sh":
            allowed = {*VERIFYING, *({"sh", "words", "script"} if at.unquoted else ())}
        else:
            allowed = set(_LINES[self.kind](self.line)) if self.kind in _LINES else set()
        self.filtered(node, allowed)
        self.line += "\0"
        return at.after("\0") if self.kind == "sh" else at

    def filtered(self, node: nodes.Expr, allowed: set[str]) -> None:
        if isinstance(node, nodes.CondExpr):
            self.filtered(node.expr1, allowed)
            if node.expr2 is not None:
                self.filtered(node.expr2, allowed)
            return
        if isinstance(node, nodes.Filter) and node.name in allowed:
            return
        called = node.node if isinstance(node, nodes.Call) else None
        if isinstance(called, nodes.Name) and called.name in self.macros and self.kind != "sh":
            return
        names = ", ".join(sorted(allowed)) or "nothing"
        raise self.refuse(node, f"a value needs a filter; what the place allows: {names}")
