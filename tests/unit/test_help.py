"""What the command line says of itself: every verb, at 80 columns, with an example that works."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from commandline import about
from commandline.command_group import INSTEAD
from commandline.main import cli, split

ROOT = Path(__file__).resolve().parents[2]


def verbs(group: click.Group, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        yield (*words, name)
        if isinstance(command, click.Group):
            yield from verbs(command, (*words, name))


ALL = sorted(verbs(cli))
GROUPS = [(), ("lab",)]


def run(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(cli, words, prog_name="./claw", terminal_width=80)
    return done.exit_code, done.output


def named(words: tuple[str, ...]) -> click.Command:
    command: click.Command = cli
    for word in words:
        assert isinstance(command, click.Group)
        command = command.get_command(click.Context(command), word) or command
    return command


@pytest.mark.parametrize("group", GROUPS)
def test_every_summary_is_whole_at_80_columns(group: tuple[str, ...]) -> None:
    code, said = run(*group, "--help")
    assert code == 0
    assert max(map(len, said.splitlines())) <= 80
    listed = said.partition("Commands:")[2].partition("\n\n")[0].strip().splitlines()
    command = named(group)
    assert isinstance(command, click.Group)
    assert len(listed) == len(command.list_commands(click.Context(command)))
    for line in listed:
        assert re.fullmatch(r"\s*\S+\s+[A-Z][^.]+(\.[^.]+)?\.", line), line


def follow(arguments: list[str], after: tuple[str, ...]) -> click.Command:
    """Return the verb that arguments are for; raises if they are not what it takes."""
    context: click.Context | None = cli.make_context("./claw", arguments, obj=after)
    command: click.Command = cli
    while isinstance(command, click.Group):
        assert context is not None
        rest = [*context._protected_args, *context.args]
        name, found, rest = command.resolve_command(context, rest)
        assert found is not None
        command = found
        context = command.make_context(name, rest, parent=context)
    return command


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_every_verb_has_an_example_that_can_be_typed(words: tuple[str, ...]) -> None:
    command = named(words)
    assert "Example" in (command.epilog or "")
    lines = [line.strip() for line in (command.epilog or "").splitlines() if "./claw" in line]
    assert lines
    for line in lines:
        line = line.removeprefix('eval "$(').removesuffix(')"')
        program, *typed = shlex.split(line)
        assert program == "./claw"
        arguments, after = split(typed)
        found = follow(arguments, after)
        assert found.name == words[-1] or words == ("lab",)


@pytest.mark.parametrize("words", [words for words in ALL if words != ("test",)], ids=" ".join)
def test_the_help_of_every_verb_fits(words: tuple[str, ...]) -> None:
    code, said = run(*words, "--help")
    assert code == 0
    assert max(map(len, said.splitlines())) <= 80
    assert "Example" in said


def documented() -> list[str]:
    """Every command of ours in the documentation, as it stands there."""
    found = set()
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        text = page.read_text()
        found |= set(re.findall(r"`(\./claw [^`]+)`", text))
        found |= set(re.findall(r"^    (?:\$ )?(\./claw .*)$", text, re.MULTILINE))
    return sorted(found)


def parsed(line: str) -> list[list[str]]:
    """What the shell would give us of a line, without what stands for a choice or a comment."""
    line = re.sub(r"\s(\[.*?\]+|#.*)", "", line)
    commands = re.split(r"&&|\||;", line)
    return [shlex.split(one)[1:] for one in commands if one.strip().startswith("./claw ")]


@pytest.mark.parametrize("line", documented())
def test_every_command_of_the_documentation_can_be_typed(line: str) -> None:
    for typed in parsed(line):
        if typed[0] in ("VERB", "test") or typed[0].startswith("-"):
            continue
        arguments, after = split(typed)
        follow(arguments, after)


def test_the_readme_is_short_and_names_every_page() -> None:
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) < 200
    for page in (ROOT / "docs").glob("*.md"):
        assert f"docs/{page.name}" in text, page.name


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("reboot root@h", "./claw restart root@h"),
        ("uninstall f.yml", "./claw remove f.yml"),
        ("plan f.yml --limit a", "./claw up f.yml --limit a --dry --diff"),
        ("dashboard root@h", "./claw open root@h"),
        ("statsu", "Did you mean 'status'?"),
        ("verfy", "Did you mean 'verify'?"),
        ("frobnicate", "All verbs: ./claw --help"),
        ("lab destroy", "All verbs"),
        ("lab stats", "Did you mean 'status'?"),
    ],
)
def test_an_unknown_verb_names_the_way(typed: str, said: str) -> None:
    code, output = run(*shlex.split(typed))
    assert code != 0
    assert said in " ".join(output.split())
    assert "Traceback" not in output


def test_what_is_named_instead_is_there() -> None:
    assert not INSTEAD.keys() & set(cli.list_commands(None))
    for way in INSTEAD.values():
        for verb in re.findall(r"\./claw ([a-z]+)", way):
            assert verb in cli.list_commands(None)


def test_quiet_and_verbose_are_opposites() -> None:
    code, said = run("status", "-q", "-v")
    assert code != 0
    assert "opposites" in said


def test_the_version_is_that_of_the_project_and_the_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    found = subprocess.run([ROOT / "claw", "--version"], capture_output=True, text=True, check=True)
    declared = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.M)
    assert declared
    assert found.stdout.startswith(f"openclaw-pyinfra {declared[1]}")
    assert bool(re.search(r"\(\S+\)$", found.stdout)) == (ROOT / ".git").exists()
    monkeypatch.setenv("PATH", "/nonexistent")
    assert about.version() == f"openclaw-pyinfra {declared[1]}"


ASK = {
    "bash": 'eval "$(./claw completion bash)"; COMP_WORDS=(./claw ver); COMP_CWORD=1; '
    "_claw_completion ./claw; echo ${COMPREPLY[@]}",
    "zsh": 'autoload -U compinit; compinit -D -u; eval "$(./claw completion zsh)"; '
    "compadd() { print -r -- ${(P)@[-1]} }; _describe() { print -r -- ${(P)3} }; "
    "words=(./claw ver); CURRENT=2; _claw_completion",
    "fish": "./claw completion fish | source; complete -C './claw ver'",
}


@pytest.mark.parametrize("shell", ASK)
def test_a_shell_completes_a_verb(shell: str) -> None:
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    done = subprocess.run(
        [shell, "-c", ASK[shell]], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert "verify" in done.stdout, done.stderr
    assert "status" not in done.stdout


def test_each_verb_is_one_file() -> None:
    files = {path.stem for path in (ROOT / "commandline/verbs").glob("*.py")} - {"__init__"}
    assert files == set(cli.list_commands(None))
    assert all(cli.get_command(None, file) for file in files)


STARTS = """
import importlib.metadata, runpy, sys
found = importlib.metadata.entry_points

def looking(**group):
    print("looking for plugins", file=sys.stderr)
    return found(**group)

importlib.metadata.entry_points = looking
sys.argv = ["claw", "up", "--help"]
runpy.run_path(entry, run_name="__main__")
"""


def test_a_start_loads_what_its_verb_needs_and_looks_for_plugins_once() -> None:
    command = f"entry = {str(ROOT / 'commandline/__main__.py')!r}\n{STARTS}"
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", command],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Usage: ./claw up" in done.stdout, done.stderr
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "commandline.changing" in loaded
    assert not loaded & {"commandline.asking", "lab.hosts"}  # of other verbs
    assert done.stderr.count("looking for plugins") <= 1
