"""Which lines of known_hosts are a host's: the same as `ssh-keygen -F` finds."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from toolkit import openssh

KEYS = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ" + letter * 42 + " comment" for letter in "ABCDEFG"]
PLAIN = f"""# a comment of somebody
one.example.org {KEYS[0]}
two.example.org,192.0.2.7 {KEYS[1]}
[one.example.org]:2222 {KEYS[2]}
  Three.Example.org\t{KEYS[3]}\r
one.example.org {KEYS[4]}
2001:db8::7 {KEYS[5]}
incomplete.example.org ssh-ed25519
"""
NAMES = (
    *("one.example.org", "two.example.org", "192.0.2.7", "[one.example.org]:2222"),
    *("three.example.org", "2001:db8::7", "four.example.org", "incomplete.example.org"),
)


def by_ssh_keygen(name: str, file: Path) -> set[str]:
    said = openssh.run(["ssh-keygen", "-F", name, "-f", str(file)], failing=True)
    return {
        line.split()[-2] for line in said.splitlines() if len(line.split()) > 3 and "#" not in line
    }


def by_lookup(name: str, file: Path) -> set[str]:
    return {key.get_base64() for key in openssh.lookup(name, [file]).keys}


@pytest.mark.parametrize("hashed", [False, True])
def test_the_keys_of_a_name_are_those_that_openssh_finds(tmp_path: Path, hashed: bool) -> None:
    file = tmp_path / "known_hosts"
    file.write_text(PLAIN if not hashed else PLAIN.partition("incomplete")[0])
    if hashed:
        subprocess.run(["ssh-keygen", "-H", "-f", str(file)], capture_output=True, check=True)
        assert "one.example.org" not in file.read_text()
    found = {name: by_lookup(name, file) for name in NAMES}
    assert found == {name: by_ssh_keygen(name, file) for name in NAMES}
    assert [len(found[name]) for name in NAMES] == [2, 1, 1, 1, 1, 1, 0, 0]


@pytest.mark.parametrize(
    "line",
    [
        f"*.example.org {KEYS[6]}",
        f"*.example.org,!one.example.org {KEYS[6]}",
        f"@cert-authority *.example.org {KEYS[6]}",
        f"@revoked one.example.org {KEYS[0]}",
        f"|1|damaged {KEYS[6]}",
    ],
)
def test_what_only_openssh_can_match_it_matches(tmp_path: Path, line: str) -> None:
    file = tmp_path / "known_hosts"
    file.write_text(PLAIN + line + "\n")
    for name in ("one.example.org", "two.example.org"):
        known = openssh.lookup(name, [file])
        keys = {key.get_base64() for key in (*known.keys, *known.revoked)}
        assert known.authority == line.startswith("@cert")
        there = by_ssh_keygen(name, file)
        assert keys == there if not known.authority else keys < there


def test_a_file_that_was_written_anew_is_read_anew(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    file.write_text(f"one.example.org {KEYS[0]}\n")
    before = by_lookup("one.example.org", file)
    file.write_text(f"one.example.org {KEYS[1]}\ntwo.example.org {KEYS[2]}\n")
    assert by_lookup("one.example.org", file) != before
    assert by_lookup("two.example.org", file)


def test_hosts_that_openssh_was_asked_for_together_are_what_it_says_of_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "config"
    config.write_text("Host one\n  HostName 192.0.2.1\n  Port 2200\nHost t*\n  User them\n")
    questions: list[openssh.Question] = [
        ("one", None, None, str(config)),
        ("two", "me", 22, str(config)),
        ("three; echo no", None, None, str(config)),
    ]
    openssh.resolve.cache_clear()
    openssh.ask_together(questions)
    with monkeypatch.context() as patched:
        patched.setattr(openssh, "run", lambda words: pytest.fail(f"{words} is asked again"))
        together = [openssh.resolve(*one) for one in questions[:2]]
    openssh.resolve.cache_clear()
    monkeypatch.setattr(openssh, "_answers", {})
    assert together == [openssh.resolve(*one) for one in questions[:2]]
    assert [(one.hostname, one.port, one.user) for one in together][1:] == [("two", 22, "me")]
    openssh.resolve.cache_clear()


def test_what_openssh_refuses_among_others_is_refused_alone(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("Nonsense yes\n")
    openssh.ask_together([("one", None, None, str(config)), ("two", None, None, os.devnull)])
    with pytest.raises(openssh.OpenSSHError, match=r"(?i)nonsense"):
        openssh.resolve("one", None, None, str(config))
    assert openssh.resolve("two", None, None, os.devnull).hostname == "two"
