"""What holds secrets on a host, `.env`, `openclaw.json` and proxies: read quietly, never shown.

The snapshot knows whether `.env` is kept as it has to be; the content of both is read in one
further round trip and kept exactly as long as the snapshot.
"""

from __future__ import annotations

import base64
import hashlib
import json
import posixpath
import re
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from shlex import quote
from typing import Any

import json5
from pyinfra import host
from pyinfra.api.exceptions import PyinfraError

from operations.base import preflight, shape, snapshot, templates
from operations.base.answers import printable
from operations.gateway import includes
from toolkit import dotenv
from toolkit.settings import Settings

CONFIG_BYTES = 1 << 20
"""How large openclaw.json may be; its owner is the agent, who could have it grow."""
JSON5_BYTES = 1 << 16
"""How much of it may be JSON5 that is not JSON; the parser takes seconds for that."""


class UnreadableFile(ValueError):
    """A file on the host that the program it belongs to could not read either."""


class NotRead(PyinfraError):
    """A file is there, but what came of it is not all of it: nothing may be made of that."""


@snapshot.fact("private")
@dataclass(frozen=True)
class Kept:
    """Whether `.env` is on a host as it has to be: a file of root's, for nobody else to read."""

    private: bool = False

    @staticmethod
    def script(settings: Settings) -> str:
        return f"stat -L -c '%F|%a|%u:%g' {quote(environment_path(settings))}"

    @classmethod
    def parse(cls, lines: list[str]) -> Kept:
        return cls(lines[:1] == ["regular file|600|0:0"])


@dataclass(frozen=True)
class Private:
    """The content of both files (None: absent), the host's own proxy variables, why
    `openclaw.json` was not read although it is there, and what the files that it includes say."""

    environment: bytes | None
    config: bytes | None
    proxies: dict[str, str] = field(default_factory=dict)
    refused: str = ""
    included: dict[str, Any] = field(default_factory=dict)

    def variables(self) -> dict[str, str]:
        """Return the values of `.env` by key; none if it is absent.

        Raises:
            UnreadableFile: Compose could not read it.
        """
        return dotenv.values(self.environment_text())

    def environment_text(self) -> str:
        """Return the text of `.env`, '' if it is absent; raises like `variables`."""
        try:
            text = dotenv.decode(self.environment or b"")
            dotenv.parse(text)
        except dotenv.DotenvError as error:
            raise UnreadableFile(str(error)) from None
        return text

    def configuration(self) -> dict:
        """Return what `openclaw.json` says with the files that it includes, to be read only; empty
        if it is absent or blank.

        Raises:
            UnreadableFile: it is no regular file of an accepted size, or not a JSON5 object.
        """
        return self._configuration

    @cached_property
    def _configuration(self) -> dict:
        try:
            return shape.of(includes.resolved(self.own_configuration(), self.included))
        except (includes.IncludeError, shape.WrongFormError) as error:
            raise UnreadableFile(printable(str(error))) from None

    def own_configuration(self) -> dict:
        """Return what `openclaw.json` itself says; raises like `configuration`."""
        if self.refused:
            raise UnreadableFile(self.refused)
        return _object(self.config or b"")


def environment_path(settings: Settings) -> str:
    return f"{settings.project_directory}/.env"


def config_path(settings: Settings) -> str:
    return f"{settings.config_directory}/openclaw.json"


def read(settings: Settings) -> Private:
    """Return the content of both files on the current host.

    Raises:
        NotRead: a file is there, and not all of it was read.
    """
    kept: Private | None = snapshot.read().beside.get(Private)
    return kept or keep(settings, ask(settings))


def ask(settings: Settings) -> str:
    """Return what the current host says of both files, for `keep`."""
    return snapshot.read_quietly(
        host,
        templates.render(
            "deploy/private.sh.j2",
            environment=environment_path(settings),
            directory=settings.config_directory,
            names=["openclaw.json"],
            limit=CONFIG_BYTES,
            proxies=templates.render("compose/proxies.sh.j2"),
        ),
    )


def keep(settings: Settings, answer: str) -> Private:
    """Keep what `ask` returned at the time of a snapshot, as long as that; return its content.

    Raises as `read`.
    """
    there = snapshot.read()
    lines = answer.split("\n")
    if len(lines) != 3:
        raise NotRead(f"the host says {len(lines)} lines of 2 files and its proxies")
    refused = printable(lines[1]).removeprefix("refused: ") if lines[1][:8] == "refused:" else ""
    paths = (environment_path(settings), config_path(settings), "the host's proxy variables")
    said = (lines[0], "absent" if refused else lines[1], lines[2])
    environment, config, variables = map(_content, paths, said)
    content = Private(
        environment,
        config,
        dict(
            line.split("=", 1)
            for line in (variables or b"").decode(errors="replace").splitlines()
            if "=" in line
        ),
        refused,
    )
    if includes.KEY.encode() in (config or b""):
        content = replace(content, **_with_included(settings, content))
    there.beside[Private] = content
    return content


preflight.ask_apart(ask, keep)


def _with_included(settings: Settings, content: Private) -> dict[str, Any]:
    """Return the fields that change with the files that `openclaw.json` includes, which are read in
    a round trip for each depth.
    """
    known: dict[str, Any] = {}
    try:
        wanted = includes.names(content.own_configuration())
        while wanted and len(known) + len(wanted) <= includes.MOST_FILES:
            found = dict(zip(sorted(wanted), _ask_included(settings, sorted(wanted)), strict=True))
            known |= {name: _object(data) for name, data in found.items() if data is not None}
            nested = {
                one
                for name in found.keys() & known.keys()
                for one in includes.names(known[name], posixpath.dirname(name))
            }
            wanted = nested - known.keys() - found.keys()
    except (UnreadableFile, includes.IncludeError) as error:
        return {"refused": str(error)}
    return {"included": known}


def _ask_included(settings: Settings, names: list[str]) -> list[bytes | None]:
    script = templates.render(
        "deploy/private.sh.j2",
        environment=None,
        directory=settings.config_directory,
        names=names,
        limit=CONFIG_BYTES,
        proxies=None,
    )
    lines = snapshot.read_quietly(host, script).split("\n")
    if len(lines) != len(names):
        raise NotRead(f"the host says {len(lines)} lines of {len(names)} included files")
    for name, line in zip(names, lines, strict=True):
        if line.startswith("refused:"):
            raise UnreadableFile(f"{includes.KEY} {name}: {printable(line[8:]).strip()}")
    return [_content(name, line) for name, line in zip(names, lines, strict=True)]


def _object(data: bytes) -> dict[str, Any]:
    if not data.strip():
        return {}
    try:
        content = _parse(data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise UnreadableFile("it is not UTF-8") from None
    except RecursionError:
        raise UnreadableFile("it is nested too deeply") from None
    if not isinstance(content, dict):
        raise UnreadableFile("it is not an object")
    return content


def _content(path: str, line: str) -> bytes | None:
    """Return what a line of the answer holds: `absent`, or digest and content in base64."""
    if line == "absent":
        return None
    digest, _, text = line.partition(" ")
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        data = None
    if data is None or hashlib.sha256(text.encode()).hexdigest() != digest:
        # Never quoted: it may be the content after all.
        why = printable(text) if digest == "unreadable:" else "what came of it is not all of it"
        raise NotRead(f"{path} cannot be read whole: {why}")
    return data


def _parse(text: str) -> object:
    try:
        return json.loads(text)  # what OpenClaw writes; the JSON5 parser takes 50 times as long
    except ValueError:
        pass
    content, error = _json5(text)
    if error:
        raise UnreadableFile(error)
    return json.loads(content)


@lru_cache(maxsize=32)
def _json5(text: str) -> tuple[str, str]:
    """Return JSON5 as JSON, or why it is none."""
    if len(text) > JSON5_BYTES:
        return "", f"it is not JSON, and too large for JSON5, of which {JSON5_BYTES} are accepted"
    try:
        return json.dumps(json5.loads(text)), ""
    except RecursionError:
        return "", "it is nested too deeply"
    except ValueError as error:
        place = re.search(r":(\d+) Unexpected .* at column (\d+)", str(error))
        where = f" at line {place[1]}, column {place[2]}" if place else ""
        return "", f"it is not JSON5: unexpected text{where}"
