"""OpenClaw's own command line, asked in the gateway that runs; its answer is JSON, or none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.host import Host

from operations.base import snapshot, templates
from operations.gateway import form
from toolkit import patterns
from toolkit.settings import Settings, settings_for

SECONDS = 200
"""It takes 5 s of processor time to start; so long for each on a busy host."""
MOST = 200
"""How many are looked at of a list."""
NOW = "@now"
"""Under this name the host says its own time."""
A = TypeVar("A")


def ask(
    host: Host,
    questions: Mapping[str, list[str]],
    made_of: Callable[[Mapping[str, str]], A],
    each: bool = False,
) -> A:
    """Return what `made_of` makes of what OpenClaw says to questions, by their names.

    + questions: the words of its command line
    + each: what one of them fails with does not keep the others from being asked

    Raises:
        PyinfraError: the gateway does not run, or gave no answer that can be read.
    """
    wanted = script(settings_for(host), questions, each)
    try:
        return snapshot.ask_several(host, wanted, made_of, SECONDS * max(1, len(questions)) + 60)
    except patterns.MismatchError as error:
        raise PyinfraError(f"OpenClaw's answer cannot be read: {error}") from None


def script(settings: Settings, questions: Mapping[str, list[str]], each: bool = False) -> str:
    """Return the script that runs its command line in the gateway, once for each question."""
    return templates.render(
        "openclaw/asked.sh.j2",
        docker=form.shell(settings),
        asked=questions,
        each=each,
        now=NOW,
        seconds=SECONDS,
    )


def document(answers: Mapping[str, str], name: str) -> dict[str, Any]:
    """Return the object that was said; raises `patterns.MismatchError` where it is none."""
    said = answers.get(name, "")
    # What it warns of may come before.
    return patterns.of_json(dict, said[max(0, said.find("{")) :], "OpenClaw's answer as JSON")


def objects(value: object) -> list[dict[str, Any]]:
    """Return the objects of what should be a list of them."""
    found = value if isinstance(value, list) else []
    return [one for one in found if isinstance(one, dict)][:MOST]


def now(answers: Mapping[str, str]) -> int:
    """Return the host's time, in seconds since 1970; otherwise as `document`."""
    return int(patterns.matched(patterns.NUMBER, answers.get(NOW, "").strip(), "a time"))
