"""Files and directories on a host: compared by one probe, replaced atomically.

pyinfra's own `files.put` costs several round trips per file and passes through a readable
temporary file; here one probe reads the metadata of every managed path, and a changed file
is one command whose content travels on standard input.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field
from logging import getLogger
from shlex import quote
from typing import Any

from pyinfra import host
from pyinfra.api import StringCommand

from operations.base import snapshot
from operations.base.operation import operation
from toolkit.settings import Settings

differences = getLogger("pyinfra.differences")
"""Says what a change consists of; `./claw` shows it at every verbosity."""

NEW = '"$new"'
Paths = Callable[[Settings], Iterable[str]]
_managed: list[Paths] = []
_observed: list[Paths] = []
_foreign: list[Paths] = []


@dataclass(frozen=True)
class File:
    """A file as it should be: absolute path, whole content (ends with a newline), mode, owner.

    A `secret` file's content is never shown, not even by `--diff`.
    """

    path: str
    content: str
    mode: str = "644"
    owner: str = "0:0"
    secret: bool = False


@dataclass(frozen=True)
class Found:
    """What is at a path: `kind` as `stat -c %F` says it, mode, `uid:gid`, SHA-256 if managed."""

    kind: str
    mode: str
    owner: str
    digest: str


@snapshot.fact("files")
@dataclass(frozen=True)
class Files:
    """What is at the paths that are registered below; those with nothing are not in it."""

    found: dict[str, Found] = field(default_factory=dict)

    @staticmethod
    def script(settings: Settings) -> str:
        words, seen, foreign = (
            " ".join(
                quote(path) for path in sorted({path for one in kind for path in one(settings)})
            )
            for kind in (_managed, [*_managed, *_observed], _foreign)
        )
        links = f"stat -c '%F|%a|%u:%g|%n' {foreign}; " if foreign else ""
        return f"""set --
for path in {words}; do [ ! -f "$path" ] || set -- "$@" "$path"; done
{{ [ $# = 0 ] || sha256sum "$@"; {links}stat -L -c '%F|%a|%u:%g|%n' {seen}; }} | awk '
  substr($0, 65, 2) == "  " {{ digest[substr($0, 67)] = substr($0, 1, 64); next }}
  {{
    name = $0
    sub(/^[^|]*[|][^|]*[|][^|]*[|]/, "", name)
    print substr($0, 1, length($0) - length(name)) (name in digest ? digest[name] : "-") "|" name
  }}'"""

    @classmethod
    def parse(cls, lines: list[str]) -> Files:
        found: dict[str, Found] = {}
        for line in lines:
            kind, mode, owner, digest, name = line.split("|", 4)
            found.setdefault(name, Found(kind, mode, owner, digest))
        return cls(found)


def managed_paths(function: Paths) -> Paths:
    """Register a function that names the toolkit's own paths, whose state the snapshot must hold,
    the digest of files included."""
    _managed.append(function)
    return function


def observed_paths(function: Paths) -> Paths:
    """Register a function that names paths of which only kind, mode and owner are wanted: those of
    what a link there leads to. Nothing of them is opened."""
    _observed.append(function)
    return function


def foreign_paths(function: Paths) -> Paths:
    """As `observed_paths`, for what lies where others can put a link: that is not followed."""
    _foreign.append(function)
    return function


def found(path: str) -> Found | None:
    """Return what the snapshot of the current host knows of a managed `path`; None if absent."""
    return snapshot.of(Files).found.get(path)


@operation
def write(files: Iterable[File]) -> Generator:
    """Write the files that are absent or differ; each one appears whole or not at all.

    + files: the files as they should be; their paths must be registered with
      `managed_paths` and their directories exist
    """
    changed = [file for file in files if differs(file)]
    if not changed:
        host.noop("the files are as they should be")
    for file in changed:
        show_difference(file)
        yield write_command(file)


@operation
def directories(paths: Iterable[str], mode: str = "755", owner: str = "0:0") -> Generator:
    """Create the directories that are absent and mend mode and owner of those that differ.

    + paths: absolute paths, registered with `managed_paths`; never touched below the top
    + mode: octal
    + owner: `uid:gid`
    """
    wrong = [path for path in paths if _directory_differs(path, mode, owner)]
    if not wrong:
        host.noop("the directories are as they should be")
    for path in wrong:
        target = quote(path)
        yield StringCommand(f"mkdir -p {target} && chown {owner} {target} && chmod {mode} {target}")


@operation
def absent(paths: Iterable[str]) -> Generator:
    """Remove files that are there.

    + paths: absolute paths of files, registered with `managed_paths`
    """
    for path in paths:
        if found(path):
            yield StringCommand(f"rm -f {quote(path)}")


def digest(content: str) -> str:
    """Return the SHA-256 of a text, hexadecimal."""
    return hashlib.sha256(content.encode()).hexdigest()


def differs(file: File) -> bool:
    """Return whether `file` is absent on the current host or differs in content, mode or owner."""
    there = found(file.path)
    wanted = (digest(file.content), file.mode, file.owner)
    return there is None or (there.digest, there.mode, there.owner) != wanted


def write_command(file: File) -> StringCommand:
    """Return the command that replaces `file` by rename, its content on standard input."""
    if not file.content.endswith("\n"):
        raise ValueError(f"{file.path}: content without a final newline")
    temporary, target = quote(f"{file.path}.openclaw-new"), quote(file.path)
    return StringCommand(
        f"umask 077 && {received(temporary, file.content)} && chown {file.owner} {temporary} && "
        f"chmod {file.mode} {temporary} && mv -f {temporary} {target}",
        _stdin=[file.content],
    )


def received(path: str, content: str) -> str:
    """Return shell that writes standard input to `path` (quoted) and fails if that is not all of
    `content`: the end of a connection ends the input, too.
    """
    return f'cat >{path} && [ "$(wc -c <{path})" -eq {len(content.encode())} ]'


def script_command(path: str, content: str, mode: str, **arguments: Any) -> StringCommand:
    """Return the command that writes a script of root's to `path` and runs it.

    + mode: its first argument
    + arguments: pyinfra's, such as `_timeout`
    """
    script = quote(path)
    return StringCommand(
        f"umask 077 && {received(script, content)} && sh {script} {mode}",
        _stdin=[content],
        **arguments,
    )


def replace_command(path: str, was: bytes | None, content: str, then: str = "") -> StringCommand:
    """Return the command that replaces a file which is not the toolkit's alone, mode 600.

    The host refuses unless the file is byte for byte what it was read as: what was read in part,
    or as empty because something else was said in its place, never takes the place of more.

    + was: its whole content when `content` was made of it; None: it was absent
    + then: shell that goes on with the new file, "$new"
    """
    before = "absent" if was is None else hashlib.sha256(was).hexdigest()
    refusal = f"{path} is not what was read of it: it stays as it is; run again"
    return StringCommand(
        f"umask 077; path={quote(path)}; new=$path.openclaw-new; now=absent; read -r before; "
        '[ ! -e "$path" ] || now=$(sha256sum <"$path"); '
        f'[ "${{now%% *}}" = "$before" ] || {{ echo {quote(refusal)} >&2; exit 1; }}; '
        f'{received(NEW, content)} && {then or ":"} && mv -f "$new" "$path"',
        _stdin=[f"{before}\n", content],
    )


def show_difference(file: File) -> None:
    """Log the difference that writing `file` makes, when pyinfra runs with `--diff`."""
    if not host.state.config.DIFF or host.state.is_executing:
        return
    if file.secret:
        differences.info(f"{host.print_prefix}{file.path}: secret, not shown")
        return
    before = snapshot.read_quietly(host, f"cat {quote(file.path)}") if found(file.path) else ""
    for line in difflib.unified_diff(
        before.splitlines(), file.content.splitlines(), file.path, file.path, lineterm=""
    ):
        differences.info(f"{host.print_prefix}{line}")


def _directory_differs(path: str, mode: str, owner: str) -> bool:
    there = found(path)
    return there is None or (there.kind, there.mode, there.owner) != ("directory", mode, owner)
