"""Wrong connection data: host, key, file and line, what is accepted, and what was meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from commandline.options import ERRORS
from commandline.run.session import Options, Session
from commandline.screen.display import Display
from toolkit.settings.sources.errors import SettingsError
from toolkit.settings.sources.layers import connector_value
from toolkit.settings.sources.resolve import missing_key

WRONG = {
    "ssh_port: abc": "ssh_port: given text ({}); accepted: a whole number",
    "ssh_port: 99999": "ssh_port: given the number 99999 ({}); accepted: 1 to 65535",
    "ssh_port: 0": "ssh_port: given the number 0 ({}); accepted: 1 to 65535",
    "ssh_prt: 22": "ssh_prt: unknown key ({}); did you mean ssh_port?",
    "ssh_hostname: [a]": "ssh_hostname: given a list ({}); accepted: text",
    "ssh_connect_retries: -1": "ssh_connect_retries: given the number -1 ({}); accepted: a whole",
    "ssh_config_file: /nonexistent": "({}); accepted: a file on this machine",
    "ssh_known_hosts_file: /nonexistent/file": "({}); accepted: a file on this machine, or a name",
    "_sudo: maybe": "_sudo: given text ({}); accepted: true or false",
    "_sudp: true": "_sudp: unknown key ({}); did you mean _sudo?",
    "ssh_user:": "ssh_user: given nothing ({}); accepted: text",
    "ssh_password: 5": "ssh_password: given a number ({}); accepted: text",
}


def opened(path: Path, text: str) -> Session:
    path.write_text(f"hosts:\n  claw1:\n    {text}\n")
    session = Session(Options(str(path)), Display(ERRORS))
    session.open()
    return session


@pytest.mark.parametrize("text", WRONG)
def test_each_is_named_before_pyinfra_reads_it(text: str, tmp_path: Path) -> None:
    path = tmp_path / "fleet.yml"
    with pytest.raises(SettingsError) as refused:
        opened(path, text)
    (line,) = str(refused.value).splitlines()[1:]
    assert line.startswith("  claw1: ")
    assert WRONG[text].format(f"{path} line 3") in line


def test_a_key_that_is_not_there_is_its_host_s_trouble(tmp_path: Path) -> None:
    path = tmp_path / "fleet.yml"
    session = opened(path, "ssh_key: /nonexistent/key")
    said = missing_key(session.hosts[0])
    assert said == (
        f"ssh_key: given '/nonexistent/key' ({path} line 3); accepted: a file on this machine"
    )
    (tmp_path / "key").touch()
    assert missing_key(opened(path, f"ssh_key: {tmp_path}/key").hosts[0]) is None


def test_no_sudo_on_the_command_line_is_no_sudo() -> None:
    assert connector_value("_sudo", "false") is False
    assert connector_value("_sudo_user", "7") == "7"
