"""What `./claw inventory` shows: connections, settings with their origin, and no secret."""

from __future__ import annotations

import io
import json

import pytest
from pyinfra.api.host import Host
from rich.console import Console

from commandline.verbs.inventory import connection, document, given, tree
from toolkit.settings.sources.yaml_inventory import load_yaml_inventory

FLEET = """
all: {ssh_user: deploy, ssh_password: canary}
groups:
  production: {hosts: [a, b], settings: {gateway: {environment: {API_KEY: canary}, memory: 4g}}}
  edge: {hosts: [b], settings: {_sudo_password: canary, _env: {X: canary}}}
hosts:
  a:
    gateway: {memory: 5g, port: 18789}
    credentials: {OPENAI_API_KEY: {env: MY_KEY}, TOKEN: {command: echo canary}}
  b:
    ssh_hostname: alias
    openclaw: {channels: {telegram: {botToken: canary}}}
    ssh_paramiko_connect_kwargs: {passphrase: canary}
  c: {name: other, ssh_hostname: "2001:db8::7", ssh_port: 2222, ssh_key: ~/.ssh/c}
"""
CONFIG = """
Host alias
  HostName 203.0.113.7
  Port 2201
  IdentityFile ~/.ssh/alias
  ProxyJump me@jump
"""


@pytest.fixture
def hosts(tmp_path, monkeypatch) -> list[Host]:
    (tmp_path / "config").write_text(CONFIG)
    fleet = tmp_path / "fleet.yml"
    fleet.write_text(FLEET)
    inventory = load_yaml_inventory(fleet, {"ssh_config_file": str(tmp_path / "config")})
    return list(inventory)


def test_connections_are_those_of_ssh_config_and_the_inventory(hosts):
    by_name = {host.name: connection(host) for host in hosts}
    b, c = by_name["b"], by_name["c"]
    assert (b["address"], b["port"], b["user"]) == ("203.0.113.7", 2201, "deploy")
    assert (b["key"].rpartition("/")[2], b["jump"]) == ("alias", "me@jump")
    assert (c["address"], c["port"], c["key"]) == ("2001:db8::7", 2222, "~/.ssh/c")
    assert "jump" not in c


def test_settings_are_those_that_differ_and_say_where_they_come_from(hosts, tmp_path):
    a, _, c = hosts
    found = {key: (value, origin) for key, value, origin in given(a)}
    assert found["gateway.memory"] == ("5g", f"{tmp_path}/fleet.yml line 8")
    assert found["credentials.OPENAI_API_KEY.env"][0] == "MY_KEY"
    assert "gateway.port" not in found  # it is the default
    assert [key for key, _, _ in given(c)] == ["name"]  # the directories follow from it


def test_the_tree_has_every_host_once_below_its_groups(hosts):
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(tree(hosts, "fleet.yml"))
    shown = console.export_text()
    assert shown.count("ssh deploy@") == 3
    assert "b  see above" in shown
    assert "ssh deploy@[2001:db8::7]:2222" in shown
    assert shown.index("production  2") < shown.index("edge  1") < shown.index("other")


def test_secrets_are_in_neither_form(hosts):
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(tree(hosts, "fleet.yml"))
    for text in (console.export_text(), json.dumps(document(hosts))):
        assert "canary" not in text
        assert text.count("(hidden)") >= 7
