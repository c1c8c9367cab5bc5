"""Wrong settings in words: host, key, what was given, what is accepted."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError
from pyinfra.api.exceptions import PyinfraError

from toolkit import secret_names
from toolkit.settings.contradictions import general
from toolkit.settings.model import Settings
from toolkit.settings.sources import describe
from toolkit.settings.sources.layers import Merged, pyinfra_types

Location = tuple[str | int, ...]


@dataclass(frozen=True)
class Problem:
    """One thing wrong with the settings; without a host it concerns all of them."""

    host: str | None
    key: str
    message: str


class SettingsError(PyinfraError):
    """Every error of every host's settings, in one report; `problems` has them one by one."""

    def __init__(self, report: str, problems: Sequence[Problem] = ()) -> None:
        self.problems = tuple(problems)
        super().__init__(report)

    @classmethod
    def of(cls, problems: Sequence[Problem]) -> SettingsError:
        """Return the error whose report has one line for each of `problems`."""
        return cls(_report(problems), problems)


def validate(host: str, merged: Merged) -> tuple[Settings | None, list[Problem]]:
    """Return the settings of `host`, or nothing and everything that is wrong with them."""
    wrong: list[Any] = []
    settings: Settings | None = None
    try:
        settings = Settings.model_validate(merged.data)
    except ValidationError as error:
        wrong = error.errors(include_url=False)
    problems = [Problem(host, dotted(item["loc"]), _message(item, merged)) for item in wrong]
    dropped = [item["loc"] for item in wrong]
    if wrong:
        # Values that contradict each other are to be in the same report, so the rest is
        # validated without the wrong ones.
        with contextlib.suppress(ValidationError):
            settings = Settings.model_validate(_without(merged.data, dropped))
    for found in general.problems(settings) if settings else ():
        if not _concerns(found.keys, dropped):
            problems.append(Problem(host, found.keys[0], found.message + _origins(found, merged)))
    return (None if problems else settings), problems


def dotted(location: Iterable[str | int]) -> str:
    """Return a location as users write it: `gateway.apt_packages[1]`."""
    text = ""
    for part in location:
        if isinstance(part, int):
            text += f"[{part}]"
        elif part != "[key]":
            text += f".{part}" if text else part
    return text


def given(value: Any, location: Location = ()) -> str:
    """Return `value` as it may be shown: no secrets, one line."""
    if secret_names.within(location):
        return f"{kind(value)} {secret_names.HIDDEN}"
    if isinstance(value, str):
        shown = repr(secret_names.starred(value))
        return shown if len(shown) <= 120 else f"{shown[:100]}... ({len(value)} characters)"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return f"the number {value!r}"
    return kind(value)


def kind(value: Any) -> str:
    """Return what sort of value `value` is, for values that must not be shown."""
    kinds: tuple[tuple[Any, str], ...] = (
        (type(None), "nothing"),
        (bool, "true or false"),
        (str, "text"),
        ((int, float), "a number"),
        ((Mapping, BaseModel), "a mapping"),
        ((list, tuple, set), "a list"),
    )
    return next((words for types, words in kinds if isinstance(value, types)), "a Python object")


def _message(error: Any, merged: Merged) -> str:
    location: Location = error["loc"]
    origin = merged.origin(location)
    where = f" ({origin})" if origin else ""
    if error["type"] == "extra_forbidden":
        return f"unknown key{where}; {_suggestion(location)}"
    expected = describe.type_at(location)
    accepted = expected.words if expected else "a known value"
    if location[-1] == "[key]":
        return f"not a name that may stand here{where}; accepted: {accepted}"
    reason = ""
    if error["type"] == "value_error":
        reason = f": {error['ctx']['error']}"
    elif error["type"] == "string_type" and isinstance(error["input"], (int, float)):
        reason = ": a number or true/false where text is needed, write it in quotes"
        if origin and origin.startswith("--"):
            reason += f" (--data '{dotted(location)}=\"...\"')"
    return f"given {given(error['input'], location)}{where}{reason}; accepted: {accepted}"


def _suggestion(location: Location) -> str:
    *parents, last = (str(part) for part in location)
    names = [key.name for key in describe.all_keys()]
    same_name = [name for name in names if name.split(".")[-1] == last]
    parent = describe.type_at(parents)
    siblings = list(parent.base.model_fields) if parent else []
    prefix = "".join(f"{part}." for part in parents)
    wanted = re.sub(r"(?<=[a-z])(?=[A-Z])|-", "_", last).lower()
    if close := get_close_matches(wanted, siblings, n=1, cutoff=0.7):
        return f"did you mean {prefix}{close[0]}?"
    if same_name:
        return f"did you mean {same_name[0]}?"
    if not parents and (close := get_close_matches(wanted, pyinfra_types(), n=1, cutoff=0.8)):
        return f"did you mean {close[0]}?"
    leaves = {name.split(".")[-1]: name for name in reversed(names)}
    if close := get_close_matches(wanted, leaves, n=1, cutoff=0.7):
        return f"did you mean {leaves[close[0]]}?"
    return f"accepted here: {', '.join(siblings)}"


def _origins(found: general.Inconsistency, merged: Merged) -> str:
    first, *others = found.keys
    known = [merged.origins.get(tuple(first.split(".")))]
    for key in others:
        origin = merged.origins.get(tuple(key.split(".")))
        known.append(f"{key}: {origin}" if origin and f"{key}" in found.message else None)
    shown = [origin for origin in known if origin]
    return f" ({', '.join(shown)})" if shown else ""


def _without(data: Mapping[str, Any], locations: Sequence[Location]) -> dict[str, Any]:
    rest: dict[str, Any] = deepcopy(dict(data))
    # From the last item of a list to the first, so that indexes stay right.
    for location in sorted(
        locations, key=lambda parts: [str(part).zfill(9) for part in parts], reverse=True
    ):
        *parents, last = [part for part in location if part != "[key]"]
        container: Any = rest
        try:
            for part in parents:
                container = container[part]
            del container[last]
        except (KeyError, IndexError, TypeError):
            rest.pop(str(location[0]), None)
    return rest


def _concerns(keys: Sequence[str], dropped: Sequence[Location]) -> bool:
    gone = {dotted(location) for location in dropped}
    return any(
        key == one or one.startswith(f"{key}.") or key.startswith(f"{one}.")
        for key in keys
        for one in gone
    )


def _report(problems: Sequence[Problem]) -> str:
    hosts: dict[tuple[str, str], list[str]] = {}
    for problem in problems:
        names = hosts.setdefault((problem.key, problem.message), [])
        if problem.host and problem.host not in names:
            names.append(problem.host)
    return "the settings are wrong; no host was touched\n" + "\n".join(_lines(hosts))


def _lines(hosts: Mapping[tuple[str, str], Sequence[str]]) -> Iterator[str]:
    for (key, message), names in hosts.items():
        yield f"  {', '.join(names) or 'all hosts'}: {key}: {message}"
