"""`.env` in the dialect of Compose: what is read, what is refused, what an edit leaves alone."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from lab.engine import Engine
from toolkit import dotenv

USERS_FILE = """\
# my keys
export A=1   # one

B='two  # not a comment'
C: three
D="line one
line two"
BARE
"""

NASTY = {
    "PLAIN": "abc/DEF_1.2:3@4%5+6,7=8-9",
    "SPACES": "  two  words ",
    "HASH": "a #b",
    "DOLLAR": "$HOME ${X:-y} $$ a$",
    "SINGLE": "it's",
    "DOUBLE": 'say "hi"',
    "BOTH": """'"' $X \\""",
    "BACKSLASH": "C:\\new\\table\\",
    "QUOTED_BACKSLASH": "a\\'b\\\\",
    "NEWLINES": "-----BEGIN-----\nab+/=\n-----END-----\n",
    "UNICODE": "größe €",
    "BACKTICK": "`id`$(id)",
    "EMPTY": "",
    "LEADING_QUOTE": '"x',
    "TAB": "a\tb",
}


def test_reads_what_compose_reads() -> None:
    assert dotenv.values(USERS_FILE) == {
        "A": "1",
        "B": "two  # not a comment",
        "C": "three",
        "D": "line one\nline two",
    }


def test_an_edit_that_changes_nothing_leaves_the_text() -> None:
    assert (
        dotenv.edit(USERS_FILE, {"A": "1", "D": "line one\nline two"}, ["NOT_THERE"]) == USERS_FILE
    )


def test_an_edit_replaces_and_appends_and_leaves_the_rest() -> None:
    edited = dotenv.edit(USERS_FILE + "LAST=x", {"C": "3 3", "NEW": "n"})
    assert edited == USERS_FILE.replace("C: three", "C='3 3'") + "LAST=x\nNEW=n\n"


def test_an_edit_removes_a_key_with_its_line() -> None:
    assert dotenv.edit("A=1\nB='2\n3'\nC=4\n", {}, ["B"]) == "A=1\nC=4\n"


@pytest.mark.parametrize("value", NASTY.values(), ids=NASTY.keys())
def test_a_written_value_is_read_back(value: str) -> None:
    assert dotenv.values(dotenv.line("KEY", value)) == {"KEY": value}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("A=1\nnot a variable\n", "line 2"),
        ("A=1\n\nB='open\nC=2\n", "line 3"),
        ('A="open', "line 1"),
        ("=x", "line 1"),
        ("A=1\nB=2\nA=3\n", "A has two different values, in lines 1 and 3"),
    ],
)
def test_a_corrupt_text_is_refused_by_its_line(text: str, said: str) -> None:
    with pytest.raises(dotenv.DotenvError, match=said):
        dotenv.parse(text)


def test_no_message_shows_a_value() -> None:
    with pytest.raises(dotenv.DotenvError) as error:
        dotenv.parse("A=hunter2\nA=hunter3\n")
    assert "hunter" not in str(error.value)


@pytest.mark.parametrize(
    ("data", "said"),
    [(b"A=1\nB=\xff\n", "line 2 is not UTF-8"), (b"A=1\nB=a\0b\n", "line 2 contains a NUL")],
)
def test_bytes_that_are_no_text_are_refused(data: bytes, said: str) -> None:
    with pytest.raises(dotenv.DotenvError, match=said):
        dotenv.decode(data)


@pytest.mark.engine
@pytest.mark.slow
def test_compose_itself_reads_what_was_written(tmp_path: Path, engine: Engine) -> None:
    (tmp_path / "compose.yml").write_text(
        "services: {a: {image: none, env_file: .env}}\n", encoding="utf-8"
    )
    (tmp_path / ".env").write_text(dotenv.edit("# mine\n", NASTY), encoding="utf-8")
    done = subprocess.run(
        ["docker", "compose", "-f", str(tmp_path / "compose.yml"), "config", "--format", "json"],
        capture_output=True,
        text=True,
        check=True,
    )
    # `config` doubles every dollar sign, so that its output can be read as a compose file again.
    shown = json.loads(done.stdout)["services"]["a"]["environment"]
    assert {key: value.replace("$$", "$") for key, value in shown.items()} == NASTY
