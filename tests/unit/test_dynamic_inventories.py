"""Hosts that come from elsewhere: a Python function, and pyinfra's connectors."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyinfra.api.state import State
from pyinfra.context import ctx_state

from commandline.targets import TargetError, load_inventory
from toolkit.settings import SettingsError
from toolkit.settings.sources.resolve import validate_inventory
from toolkit.settings.sources.yaml_inventory import load_yaml_inventory

SOURCE = """
def production():
    settings = {"gateway": {"memory": "4g", "cpus": 2}}
    hosts = [("claw1", {"ssh_hostname": "203.0.113.7", **settings}), "claw2"]
    return {"production": (hosts, {"time_zone": "Europe/Berlin"}), "canary": ["claw1"]}

def broken():
    raise OSError("the cloud is down")

def nothing():
    return {}

def names():
    return ["claw1"]

def numbers():
    return {"production": [1]}

constant = 1
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a module `cloudN` of its own, for modules are imported once per process."""
    (tmp_path / f"{module(tmp_path)}.py").write_text(SOURCE)
    return tmp_path


def module(folder: Path) -> str:
    return "cloud_" + "".join(letter for letter in folder.name if letter.isalnum())


def test_a_function_beside_what_the_file_says(folder: Path):
    fleet = folder / "fleet.yml"
    fleet.write_text(
        f"function: {module(folder)}:production\n"
        "groups:\n  production: {hosts: [claw3], settings: {name: own}}\n"
        "hosts:\n  claw1: {gateway: {memory: 5g}}\n  claw3: {}\n"
    )
    inventory = load_yaml_inventory(fleet)
    settings = validate_inventory(inventory, {})
    assert set(settings) == {"claw1", "claw2", "claw3"}
    assert (settings["claw1"].gateway.memory, settings["claw1"].gateway.cpus) == ("5g", 2)
    assert {one.time_zone for one in settings.values()} == {"Europe/Berlin"}
    assert {one.name for one in settings.values()} == {"own"}
    assert inventory.get_host("claw1").data.ssh_hostname == "203.0.113.7"
    assert [host.name for host in inventory.get_group("canary")] == ["claw1"]


def test_a_function_as_the_target(folder: Path, monkeypatch):
    monkeypatch.chdir(folder)
    inventory = load_inventory(f"{module(folder)}:production", {"time_zone": "UTC"})
    assert list(inventory.hosts) == ["claw1", "claw2"]
    assert {one.time_zone for one in validate_inventory(inventory, {}).values()} == {"UTC"}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("broken", "the cloud is down"),
        ("absent", "has no function absent"),
        ("constant", "has no function constant"),
        ("names", "returned a list; accepted: a dictionary of groups"),
        ("numbers", "returned a number as a host of group production"),
    ],
)
def test_a_function_that_returns_no_inventory(folder: Path, name, said):
    fleet = folder / "fleet.yml"
    fleet.write_text(f"\nfunction: {module(folder)}:{name}\n")
    with pytest.raises(SettingsError) as raised:
        load_yaml_inventory(fleet)
    assert f"line 2: function: {module(folder)}:{name}" in str(raised.value)
    assert said in str(raised.value)


def test_words_that_are_no_function(folder: Path, monkeypatch):
    monkeypatch.chdir(folder)
    with pytest.raises(SettingsError, match="nowhere_at_all:x: no module named nowhere_at_all"):
        load_inventory("nowhere_at_all:x", {})
    with pytest.raises(TargetError, match="has no hosts"):
        load_inventory(f"{module(folder)}:nothing", {})
    fleet = folder / "fleet.yml"
    fleet.write_text("function: just_a_module\n")
    with pytest.raises(SettingsError, match="accepted: MODULE:FUNCTION"):
        load_yaml_inventory(fleet)


TERRAFORM = """#!/bin/sh
[ "$*" = "output -json" ] || exit 9
echo '{"ips": {"value": ["203.0.113.7", {"ssh_hostname": "203.0.113.8", "ssh_user": "admin"}]}}'
"""


@pytest.fixture
def terraform(tmp_path: Path, monkeypatch) -> Path:
    program = tmp_path / "bin" / "terraform"
    program.parent.mkdir()
    program.write_text(TERRAFORM)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    return program


def test_hosts_of_terraform_as_the_target_and_in_yaml(terraform: Path, tmp_path: Path):
    with ctx_state.use(State()):
        inventory = load_inventory("@terraform/ips.value", {})
    hostnames = {host.data.ssh_hostname for host in inventory}
    assert hostnames == {"203.0.113.7", "203.0.113.8"}
    fleet = tmp_path / "fleet.yml"
    fleet.write_text(
        "groups: {cloud: {hosts: ['@terraform/ips.value'], settings: {time_zone: Asia/Tokyo}}}\n"
        "hosts: {'@terraform/ips.value': {gateway: {memory: 4g}}, 'own.example.org': {}}\n"
    )
    settings = validate_inventory(load_yaml_inventory(fleet), {})
    assert {(one.time_zone, one.gateway.memory) for one in settings.values()} == {
        ("Asia/Tokyo", "4g"),
        ("UTC", "3g"),
    }
    assert len(settings) == 3


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("@terraform/other", "No Terraform output with key: `other`"),
        ("@vagrant", "vagrant"),
        ("@docker", "No docker base ID"),
        ("@nowhere/x", "no such connector"),
    ],
)
def test_a_connector_that_finds_nothing_is_one_error(terraform: Path, target, said):
    with ctx_state.use(State()), pytest.raises(TargetError) as raised:
        load_inventory(target, {})
    assert str(raised.value).startswith(f"target {target}: ")
    assert said in str(raised.value)


def test_a_terraform_that_fails(terraform: Path):
    terraform.write_text("#!/bin/sh\necho 'Error: no state' >&2\nexit 1\n")
    with ctx_state.use(State()), pytest.raises(TargetError, match="no state"):
        load_inventory("@terraform/ips.value", {})
