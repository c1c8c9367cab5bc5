"""`$include` in openclaw.json: files that a section is taken from (docs: gateway/configuration).

OpenClaw lays them below the section's own keys, and its CLI writes no key of such a section.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping
from typing import Any

from toolkit import merging
from toolkit.settings.contradictions.mounts import inside
from toolkit.settings.model import STATE

KEY = "$include"
MOST_FILES, DEEPEST = 32, 8


class IncludeError(ValueError):
    """An `$include` that leads nowhere."""


def names(value: Any, directory: str = "") -> set[str]:
    """Return the files that a value takes sections from, relative to openclaw.json's directory;
    `directory` is that of the file that it is from.

    Raises:
        IncludeError: one is not in that directory.
    """
    if isinstance(value, list):
        return {name for one in value for name in names(one, directory)}
    if not isinstance(value, Mapping):
        return set()
    found = {name for key, one in value.items() if key != KEY for name in names(one, directory)}
    return found | {_normal(name, directory) for name in _listed(value)}


def resolved(value: Any, files: Mapping[str, Any], directory: str = "", depth: int = 0) -> Any:
    """Return a value with the content of the included files in its place.

    Raises:
        IncludeError: one is not in `files`, or they include one another without an end.
    """
    if depth > DEEPEST:
        raise IncludeError(f"its {KEY}s are more than {DEEPEST} deep")
    if isinstance(value, list):
        return [resolved(one, files, directory, depth) for one in value]
    if not isinstance(value, Mapping):
        return value
    result: dict[str, Any] = {}
    for name in _listed(value):
        path = _normal(name, directory)
        if path not in files:
            raise IncludeError(f"{KEY} {name}: there is no such file")
        below = resolved(files[path], files, posixpath.dirname(path), depth + 1)
        if isinstance(below, dict):
            result = merging.merge(result, below)
    own = {key: resolved(one, files, directory, depth) for key, one in value.items() if key != KEY}
    return merging.merge(result, own)


def sections(there: Any, path: str = "") -> Iterable[tuple[str, str]]:
    """Yield the dotted path ('': all of it) of each section that is taken from files, and those."""
    if isinstance(there, Mapping):
        if listed := list(_listed(there)):
            yield path, ", ".join(listed)
            return
        for key, value in there.items():
            yield from sections(value, f"{path}.{key}" if path else key)


def outside(patch: dict[str, Any], there: Any) -> dict[str, Any]:
    """Return a patch without the sections of `there` that are taken from files."""
    if not isinstance(there, Mapping):
        return patch
    if KEY in there:
        return {}
    return {
        key: outside(value, there.get(key)) if isinstance(value, dict) else value
        for key, value in patch.items()
        if not (isinstance(below := there.get(key), Mapping) and KEY in below)
    }


def _listed(value: Mapping[str, Any]) -> Iterable[str]:
    given = value.get(KEY, [])
    return [one for one in (given if isinstance(given, list) else [given]) if isinstance(one, str)]


def _normal(name: str, directory: str) -> str:
    whole = posixpath.normpath(posixpath.join(STATE, directory, name))
    if not inside(whole, STATE) or not whole.isprintable():
        raise IncludeError(f"{KEY} {name}: accepted: a file in the directory of openclaw.json")
    return posixpath.relpath(whole, STATE)
