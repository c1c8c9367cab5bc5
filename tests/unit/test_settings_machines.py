"""Several deployments on one machine: what they may not share, and that they take turns."""

from __future__ import annotations

import socket
from types import SimpleNamespace

import gevent
import pytest
from pyinfra.api.config import Config
from pyinfra.api.state import State

from commandline.run import turns
from operations.base import snapshot
from toolkit.settings import SettingsError
from toolkit.settings.sources.machines import machine
from toolkit.settings.sources.resolve import validate_inventory
from toolkit.settings.sources.yaml_inventory import load_yaml_inventory

TWO = """
hosts:
  anna: {{ssh_hostname: vps.example.org, {anna}}}
  bert: {{ssh_hostname: {address}, {bert}}}
"""


def load(tmp_path, bert, anna="name: anna", address="vps.example.org"):
    path = tmp_path / "fleet.yml"
    path.write_text(TWO.format(anna=anna, bert=bert, address=address))
    return load_yaml_inventory(path)


@pytest.mark.parametrize(
    ("anna", "bert"),
    [
        ("name: anna", "name: bert, gateway: {port: 18889}"),
        ("name: anna", "ssh_port: 2222"),  # another machine behind the same address
        ("name: a, gateway: {address: 10.0.0.1}", "name: b, gateway: {address: 10.0.0.2}"),
        ("name: a, engine: {users: [x]}", "name: b, gateway: {port: 1}, engine: {users: [y]}"),
    ],
)
def test_two_deployments_that_keep_apart(tmp_path, anna, bert):
    assert set(validate_inventory(load(tmp_path, bert, anna), {})) == {"anna", "bert"}


@pytest.mark.parametrize(
    ("anna", "bert", "key", "given"),
    [
        ("time_zone: UTC", "gateway: {port: 1}", "name", "'openclaw'"),
        ("name: a", "name: b", "gateway.port", "18789"),
        ("name: a", "name: b, gateway: {address: 0.0.0.0}", "gateway.port", "18789"),
        (
            "name: a, directories: {workspace: /srv/shared}",
            "name: b, gateway: {port: 1}, directories: {workspace: /srv/shared}",
            "directories.workspace",
            "/srv/shared",
        ),
        (
            "name: a",
            "name: b, gateway: {port: 1}, directories: {workspace: /var/lib/a/config/b}",
            "directories.workspace",
            "/var/lib/a/config",
        ),
        ("name: a, home_volume: home", "name: b, gateway: {port: 1}, home_volume: home",
         "home_volume",
         "'home'"),
        ("name: a", "name: b, gateway: {port: 1}, engine: {log_max_files: 9}",
         "engine.log_max_files", "shared"),
    ],
)  # fmt: skip
def test_two_deployments_that_share_what_they_must_not(tmp_path, anna, bert, key, given):
    with pytest.raises(SettingsError) as raised:
        validate_inventory(load(tmp_path, bert, anna), {})
    line = str(raised.value).splitlines()[-1]
    assert line.startswith(f"  bert: {key}: ")
    assert line.endswith("anna, which is on vps.example.org:22 too")
    assert given in line


def test_an_alias_of_the_same_address_is_the_same_machine(tmp_path):
    config = tmp_path / "config"
    config.write_text("Host other\n  HostName VPS.example.org\n  Port 22\n")
    bert = f"ssh_config_file: {config}"
    anna, other = load(tmp_path, bert, bert, address="other")
    assert machine(anna) == machine(other) == "vps.example.org:22"
    config.with_name("behind").write_text("Host *\n  ProxyJump jump\n")
    behind, _ = load(tmp_path, "name: b", f"ssh_config_file: {config.with_name('behind')}")
    assert machine(behind) == "vps.example.org:22 through jump"


def test_one_machine_is_worked_on_by_one_deployment_at_a_time(tmp_path, monkeypatch):
    inventory = load(tmp_path, "name: bert, gateway: {port: 1}")
    State(inventory, Config())
    seen, forgotten = [], []
    monkeypatch.setattr(snapshot, "forget", lambda host: forgotten.append(host.name))

    def work(host):
        seen.append(f"{host.name} begins")
        gevent.sleep(0)  # where another one could come in between
        seen.append(f"{host.name} ends")

    gevent.joinall([gevent.spawn(turns.alone, host, lambda h=host: work(h)) for host in inventory])
    assert seen == ["anna begins", "anna ends", "bert begins", "bert ends"]
    assert forgotten == ["bert"]  # it must not decide from what it knew before anna's turn


class Peer(socket.socket):
    def getpeername(self):
        return ("203.0.113.7", 22)


def test_two_names_of_one_peer_are_one_machine(tmp_path):
    hosts = list(load(tmp_path, "name: b", address="alias.example.org"))
    State(hosts[0].inventory, Config())
    with Peer() as peer:
        client = SimpleNamespace(get_transport=lambda: SimpleNamespace(sock=peer))
        for host in hosts:
            host.connector.client = client
        assert {turns._place(host) for host in hosts} == {"203.0.113.7:22"}
