"""Presets of the `sandbox` section: named defaults, one readable YAML file each.

What is given explicitly, in whatever layer, wins over the preset, key by key.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

from toolkit import own_files

Preset = Literal["personal", "family-read-only", "public-without-tools"]
NAMES: tuple[Preset, ...] = get_args(Preset)


@cache
def text(name: Preset) -> str:
    """Return the YAML of a preset, comments included."""
    return (Path(__file__).parent / f"{name}.yml").read_text(encoding="utf-8")


def applied(given: Any) -> Any:
    """Return the mapping `given` with the preset that it names, if any, laid under it."""
    name = given.get("preset") if isinstance(given, Mapping) else None
    return _over(own_files.load(text(name)), given) if name in NAMES else given


def _over(base: dict[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in given.items():
        below = result.get(key)
        nested = isinstance(below, dict) and isinstance(value, Mapping)
        result[key] = _over(below, value) if nested else value  # type: ignore[arg-type]
    return result
