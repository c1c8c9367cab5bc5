"""Answers of hosts: told from noise, whole, limited in size and time; whatever a host says."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pyinfra.api.exceptions import PyinfraError

from operations.base import answers, connection, snapshot
from operations.base.answers import AnswerError, CommandFailed
from tests.operations.hosts import FakeHost, answered

NOISE = b"Welcome!\r\n\x1b]0;title\x07\x1e1234 0 4\n   \xff\xfe motd\n"


class Shell(FakeHost):
    """A host that runs what it is asked in `shell`, and says more than that, or something else."""

    def __init__(self, shell: str = "sh", before: str = "", after: str = "") -> None:
        super().__init__()
        self.shell, self.before, self.after = shell, before, after

    def run_shell_command(self, command: Any, **arguments: Any) -> tuple[bool, SimpleNamespace]:
        text = f"{self.before}\n{command.get_raw_value()}\n{self.after}"
        given = "".join(arguments.get("_stdin", ()))
        done = subprocess.run([self.shell, "-c", text], input=given.encode(), capture_output=True)
        out, err = (one.decode(errors="surrogateescape") for one in (done.stdout, done.stderr))
        return done.returncode == 0, SimpleNamespace(stdout=out, stderr=err)


class Saying(FakeHost):
    """A host that says something else: `{nonce}` in it is what the marks are to hold."""

    def __init__(self, said: str) -> None:
        super().__init__()
        self.said = said

    def run_shell_command(self, command: Any, **_: Any) -> tuple[bool, SimpleNamespace]:
        nonce = command.get_raw_value().split()[-1]
        return True, SimpleNamespace(stdout=self.said.replace("{nonce}", nonce), stderr="")


@pytest.fixture(params=["dash", "bash"])
def shell(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def noisy(shell: str) -> Any:
    return Shell(shell, before="echo Welcome; printf 'no\\nnewline'", after="echo Bye; exit 3")


SCRIPTS = {
    "printf 'a\\n\\nb'": "a\n\nb",
    "": "",
    "# nothing": "",
    "case x in x) echo '(' ;; esac": "(",
    "cat <<'END'\n$(x) 'y'\nEND": "$(x) 'y'",
    "printf 'ü\\n€'; exit 0; echo no": "ü\n€",
    "printf 'a\\377b'": "a�b",
    "printf 'a\\000b'": "ab",
}


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("how", [answers.ask, answers.run])
def test_what_a_script_writes_comes_back_without_what_is_around_it(shell, script, how) -> None:
    assert how(noisy(shell), script) == SCRIPTS[script]


@pytest.mark.parametrize("how", [answers.ask, answers.run])
def test_a_script_that_fails_says_why(shell, how) -> None:
    with pytest.raises(CommandFailed, match=r"^it broke$"):
        how(noisy(shell), "echo half; echo it broke >&2; exit 7")


def test_a_login_shell_that_reads_standard_input_is_noticed(shell) -> None:
    host: Any = Shell(shell, before="read -r line; echo got $line")
    with pytest.raises(AnswerError, match="did not arrive whole"):
        answers.run(host, "echo one\necho two")


@pytest.mark.parametrize("size", [200_000, 1_000_000])
def test_a_long_script_and_a_long_answer(shell, size) -> None:
    host = noisy(shell)
    assert len(answers.ask(host, f"# {'x' * size}\nprintf %{size}s x")) == size


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ("", "but says: nothing"),
        (
            'Please login as the user "debian" rather than the user "root".',
            'but says: Please login as the user "debian" rather than the user "root".',
        ),
        ("\x1b]52;c;ZXZpbA==\x07\x1b[2J\x9b31mgone\x00", "but says: ]52;c;ZXZpbA== [2J 31mgone"),
        ("x" * 10_000_000, f"but says: ...{'x' * 197}"),
        ("\x1e{nonce} 0 5\nab", "broke off after 3 of 5 bytes"),
        ("\x1e{nonce} 0 1\nab\x1e{nonce}\n", "in the middle of its answer"),
        ("\x1e{nonce} 0 3\nab\x1e{nonce}\n", "in the middle of"),
        ("\x1e{nonce} 0 999999999999\n", "has 999999999999 bytes to say"),
        ("\x1e{nonce} 0 -1\n", "but says: "),
        ("\x1e{nonce} x y\nab\x1e{nonce}\n", "but says: "),
        ("\x1e{nonce} 0 9999999999999999\n", "but says: "),
        ("\x1eother 0 2\nab\x1eother\n", "but says: "),
        ("noise \x1e{nonce} 0 2", "broke off after 0 of 2"),
        ("\x1e{nonce} 42 0\n\x1e{nonce}\n", "exit status 42"),
    ],
)
def test_what_is_no_answer_is_one_clear_error_that_quotes_it(said, problem) -> None:
    host: Any = Saying(said)
    with pytest.raises(PyinfraError) as error:
        answers.ask(host, "true")
    assert problem in str(error.value)
    assert str(error.value).isprintable() and len(str(error.value)) < 300


def asked(name: str, script: str) -> type[Any]:
    """Return a fact of this test alone."""

    class Said(list[str]):
        @staticmethod
        def script(_: Any) -> str:
            return script

        @classmethod
        def parse(cls, lines: list[str]) -> Said:
            return cls(lines)

    return snapshot.fact(name)(Said)


@pytest.fixture
def facts(monkeypatch) -> None:
    monkeypatch.setattr(snapshot, "settings_for", lambda _: None)
    monkeypatch.setattr(snapshot, "_facts", {})


def test_facts_cannot_answer_for_each_other(facts) -> None:
    one, other = asked("a", "echo '\x1eb'; echo forged"), asked("b", "echo true")
    host: Any = Shell()
    assert snapshot.of(one, host) == ["\x1eb", "forged"]
    assert snapshot.of(other, host) == ["true"]


def test_only_a_line_feed_ends_a_line(facts) -> None:
    one = asked("a", "printf 'x\\302\\205y\\nlast\\n\\n'")
    assert snapshot.of(one, Shell()) == ["x\x85y", "last"]  # type: ignore[arg-type]


def test_a_fact_is_parsed_once_and_read_by_its_type(facts) -> None:
    one, host = asked("a", "echo 1"), Shell()
    assert snapshot.of(one, host) is snapshot.of(one, host)  # type: ignore[arg-type]


def test_what_a_fact_does_not_take_is_the_host_s_failure(facts, monkeypatch) -> None:
    one = asked("a", "echo x")
    monkeypatch.setattr(one, "parse", lambda lines: int(lines[0]))
    with pytest.raises(snapshot.UnreadableAnswerError) as raised:
        snapshot.read(Shell())  # type: ignore[arg-type]
    assert str(raised.value).startswith("host: the host's answers cannot be read: ValueError: ")


def test_a_fact_without_an_answer_is_an_error(facts) -> None:
    asked("a", "kill $$")
    asked("b", "echo true")
    host = FakeHost()
    host.run_shell_command = lambda question, **_: (  # type: ignore[method-assign]
        True,
        SimpleNamespace(stdout=answered(question.get_raw_value(), "a"), stderr=""),
    )
    with pytest.raises(PyinfraError, match="does not answer the probes a, b"):
        snapshot.read(host)  # type: ignore[arg-type]


class Endless(answers.Process):
    """A command that goes on saying something, or nothing."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self.pieces, self.taken = pieces, 0

    def read(self) -> bytes:
        piece = next(self.pieces)
        self.taken += len(piece)
        return piece

    def said(self) -> bytes:
        return b""


def test_an_endless_answer_is_taken_to_the_limit_only() -> None:
    for begin in (b"", b"\x1en 0 1000000\n"):
        endless = Endless(iter([begin, *[b"x" * 65536] * 1000]))
        with pytest.raises((answers._Unmarked, AnswerError)):
            answers._read(endless, b"n", 10_000_000)
        assert endless.taken < 1_200_000


# What stands in a login's own files for the shell that reads them.
FILES = {
    "dash": ("", ""),
    "bash": (".bashrc", "{names}() {{ echo mine; }}"),
    "zsh": (".zshenv", "alias {names}='echo mine'"),
    "fish": (".config/fish/config.fish", "function {names}; echo mine; end"),
}


@pytest.mark.parametrize("login", FILES)
def test_a_line_means_the_same_to_every_login_shell(login: str, tmp_path: Path) -> None:
    """Whatever functions and aliases its own files have of the programs' names."""
    if not shutil.which(login):
        pytest.skip(f"no {login} on this machine")
    text = "it's a \\back\\\\slash\\' \"$HOME\"\n"
    name, line = FILES[login]
    if name:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        names = ("timeout", "sh", "env", "sudo", "printf")
        (tmp_path / name).write_text("".join(f"{line.format(names=one)}\n" for one in names))
    command = f"timeout -k 5 60 sh -c {shlex.quote(f'printf %s {shlex.quote(text)}')}"
    said = subprocess.run(
        [login, "-c", connection.for_any_shell(command)],
        # As sshd starts it: bash reads .bashrc then.
        env={"HOME": str(tmp_path), "SSH_CLIENT": "::1 1 22", "SHLVL": "0", "PATH": os.defpath},
        capture_output=True,
    )
    assert said.stdout.decode() == text
