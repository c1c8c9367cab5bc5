"""Host keys: which are known, new or changed, what is written, and what a failure advises."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from paramiko import ECDSAKey, HostKeys, RSAKey
from paramiko.hostkeys import HostKeyEntry
from pyinfra.api.inventory import Inventory

from commandline import host_keys
from commandline.host_keys import Keys
from commandline.screen.given import Given

EC, OTHER_EC, RSA = ECDSAKey.generate(), ECDSAKey.generate(), RSAKey.generate(2048)


def keys(offered, known, name="203.0.113.7", files=(Path("/none"),)):
    return Keys(name, files, tuple(offered), tuple(known))


@pytest.mark.parametrize(
    ("offered", "known", "state"),
    [
        ([EC, RSA], [], "new"),
        ([EC, RSA], [EC], "known"),
        ([EC], [EC, RSA], "known"),
        ([EC, RSA], [RSA, OTHER_EC], "changed"),
        ([EC], [RSA], "changed"),  # paramiko refuses that, too
    ],
)
def test_state(offered, known, state):
    assert keys(offered, known).state == state


def test_a_fingerprint_is_what_ssh_keygen_prints(tmp_path):
    public = tmp_path / "key.pub"
    public.write_text(f"{RSA.get_name()} {RSA.get_base64()} vps\n")
    said = subprocess.run(["ssh-keygen", "-lf", public], capture_output=True, text=True, check=True)
    assert host_keys.fingerprint(RSA, "vps") == said.stdout.strip()


@pytest.mark.parametrize("before", ["", "# mine\n", "# no newline at its end"])
def test_new_keys_are_added_to_what_is_there(tmp_path, before):
    file = tmp_path / "new" / "known_hosts"
    if before:
        file.parent.mkdir()
        file.write_text(before)
    one = keys([EC, RSA], [], "[203.0.113.7]:2222", (file,))
    host_keys.write(one, one.offered)
    assert set(host_keys.known("[203.0.113.7]:2222", (file,))) == {EC, RSA}
    assert host_keys.known("203.0.113.7", (file,)) == ()
    assert file.read_text().startswith(before)
    assert before or file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("hashed", [False, True])
def test_a_key_is_replaced_wherever_it_is_and_nothing_else(tmp_path, hashed):
    first, second = tmp_path / "known_hosts", tmp_path / "known_hosts2"
    name = HostKeys.hash_host("203.0.113.7") if hashed else "203.0.113.7"
    neighbour = HostKeyEntry(["203.0.113.70"], EC).to_line() or ""
    first.write_text(neighbour)
    second.write_text(f"{HostKeyEntry([name], OTHER_EC).to_line()}{neighbour}")
    files = (first, second)
    one = keys([EC], host_keys.known("203.0.113.7", files), files=files)
    assert one.state == "changed"
    host_keys.write(one, (EC,))
    assert host_keys.known("203.0.113.7", (first,)) == (EC,)
    assert host_keys.known("203.0.113.7", (second,)) == ()
    assert neighbour in first.read_text() and second.read_text() == neighbour


CONFIG = """
Host jump
  HostName 203.0.113.1
  Port 2222
Host far
  HostName 203.0.113.7
  ProxyJump me@jump
"""


@pytest.mark.parametrize(
    ("reason", "target", "command"),
    [
        ("StrictPolicy: No host key for 203.0.113.7 found in known_hosts", "far", "far"),
        ("No host key for 203.0.113.7 found", "fleet.yml", "fleet.yml --limit far"),
        ("No host key for [203.0.113.1]:2222 found", "far", "me@jump --set ssh_config_file={file}"),
        ("(Host key for 203.0.113.7 does not match.)", "far", "far --replace"),
    ],
)
def test_advice_names_the_command_for_the_host_or_its_jump_host(tmp_path, reason, target, command):
    file = tmp_path / "config"
    file.write_text(CONFIG)
    (host,) = Inventory(([("far", {"ssh_config_file": str(file)})], {}))
    said = host_keys.advice(host, reason, Given(target))
    assert said is not None
    assert said.endswith(f": ./claw trust {command.format(file=file)}")
    assert ("CHANGED" in said) is ("replace" in command)


def test_no_advice_on_what_has_nothing_to_do_with_keys():
    (host,) = Inventory((["far"], {}))
    assert host_keys.advice(host, "Connection refused", Given("far")) is None
