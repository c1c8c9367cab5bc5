"""The gateway's log as the swap prints it: without values that look secret, whatever they are."""

from __future__ import annotations

import os
import re
import subprocess

import pytest

from operations.base.templates import render
from toolkit import secret_names


def masked(variables: list[str], log: str) -> str:
    """What the function prints of a log that follows these variables."""
    script = render(
        "compose/ready.sh.j2",
        kind="container",
        secret_parts=secret_names.LOGGED,
        secrets=["PLAIN_NAME"],
    )
    found = re.search(r"^masked_log\(\) \{\n.*?^\}\n", script, re.M | re.S)
    assert found
    functions = 'gateway_variables() { printf "%s\\n" "$VARIABLES"; }\ngateway_log() { cat; }\n'
    done = subprocess.run(
        ["sh", "-c", f"{functions}{found[0]}masked_log 30"],
        input=log,
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
        env={**os.environ, "VARIABLES": "\n".join(variables)},
    )
    return done.stdout.replace("    ", "", 1)


@pytest.mark.parametrize(
    ("values", "line", "shown"),
    [
        (["hidden"], "it is hidden here", "it is (hidden) here"),
        (["(hidden)"], "a (hidden) b", "a (hidden) b"),
        (["idde", "hidden"], "idde hidden", "(hidden) (hidden)"),
        (["abcdef", "defghi"], "x abcdefghi y", "x (hidden) y"),
        (["defghi", "abcdef"], "x abcdefghi y", "x (hidden) y"),
        (["abcd", "abcdefgh"], "abcdefgh abcd", "(hidden) (hidden)"),
        (["aaaa"], "aaaaaaaaab", "(hidden)b"),
        (["abab"], "xababab", "x(hidden)"),
        (["a.*[b]\\1&$"], "<a.*[b]\\1&$> axxb", "<(hidden)> axxb"),
        (["abc"], "abc", "abc"),
        (["ünïcode"], "é ünïcode é", "é (hidden) é"),
        (["nothing of it"], "plain", "plain"),
    ],
)
def test_values_are_hidden_wherever_they_stand(values: list[str], line: str, shown: str) -> None:
    variables = [f"A{number}_TOKEN={value}" for number, value in enumerate(values)]
    assert masked([*variables, "HOME=/plain"], f"{line}\n") == f"{shown}\n"


def test_a_credentials_name_counts_and_so_do_its_further_lines() -> None:
    assert masked(
        ["PLAIN_NAME=first", "second line", "OTHER=word"], "first second line word\n"
    ) == ("(hidden) (hidden) word\n")


def test_a_line_without_an_end_costs_no_time_and_shows_no_part_of_a_value() -> None:
    secret = "aaaa" * 100
    shown = masked([f"X_KEY={secret}", "Y_KEY=aaaa"], "a" * 3_000_000 + "\n")
    assert shown == "(hidden)\n"
    shown = masked([f"X_KEY={'s3cr' * 100}"], "x" * 8100 + "s3cr" * 100 + "\n")
    assert shown == "x" * 8100 + "(hidden)\n"


@pytest.mark.parametrize(
    "name", ["BOT_TOKEN_2", "openai_api_key", "CLIENT_SECRET", "DB_PASSWORD", "CREDENTIALS"]
)
def test_a_part_of_a_name_is_enough(name: str) -> None:
    assert masked([f"{name}=word"], "a word\n") == f"a {secret_names.HIDDEN}\n"
