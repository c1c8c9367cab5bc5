"""YAML inventories: what they mean, and what is said of wrong ones."""

from pathlib import Path

import pytest
from pyinfra.api.state import State
from pyinfra.context import ctx_state
from pyinfra_cli.inventory import make_inventory

from toolkit.settings.sources.resolve import SettingsError, validate_inventory
from toolkit.settings.sources.yaml_inventory import load_yaml_inventory

EXAMPLES = Path(__file__).resolve().parents[2] / "inventories"

FLEET = """
all:
  gateway: {port: 1001, memory: 4g}
groups:
  one: {hosts: [claw1, claw2], settings: {gateway: {port: 1002}, ssh_user: deploy}}
  two: {hosts: [claw2], settings: {gateway: {port: 1003}}}
hosts:
  claw1: {ssh_hostname: 203.0.113.7, ssh_port: 2222}
  claw2: {gateway: {cpus: 1.5}, openclaw: {channels: {enabled: true}}}
  claw3:
"""


def load(tmp_path, text, **arguments):
    path = tmp_path / "fleet.yml"
    path.write_text(text)
    return load_yaml_inventory(path, **arguments)


def test_levels_groups_and_connection_data(tmp_path):
    inventory = load(tmp_path, FLEET, override_data={"gateway.tmp_size": "1g"})
    settings = validate_inventory(inventory, {})
    assert {name: item.gateway.port for name, item in settings.items()} == {
        "claw1": 1002,
        "claw2": 1003,
        "claw3": 1001,
    }
    assert {item.gateway.memory for item in settings.values()} == {"4g"}
    assert {item.gateway.tmp_size for item in settings.values()} == {"1g"}
    assert settings["claw2"].gateway.cpus == 1.5
    assert settings["claw2"].openclaw == {"channels": {"enabled": True}}
    data = inventory.get_host("claw1").data
    assert (data.ssh_hostname, data.ssh_port, data.ssh_user) == ("203.0.113.7", 2222, "deploy")
    assert [host.name for host in inventory.get_group("one")] == ["claw1", "claw2"]


def test_text_stays_text(tmp_path):
    text = """
hosts:
  claw1:
    openclaw: {a: no, b: on, c: 2026-01-02, d: 12:30, e: 0o17, f: 010, g: 1_000, h: ~, i: -3}
"""
    settings = validate_inventory(load(tmp_path, text), {})["claw1"]
    assert settings.openclaw == {
        "a": "no", "b": "on", "c": "2026-01-02", "d": "12:30", "e": "0o17", "f": "010",
        "g": "1_000", "h": None, "i": -3,
    }  # fmt: skip


def test_anchors_and_merges(tmp_path):
    text = """
all: {gateway: &small {memory: 2g, cpus: 1}}
hosts:
  claw1: {gateway: {<<: *small, cpus: 2}}
"""
    gateway = validate_inventory(load(tmp_path, text), {})["claw1"].gateway
    assert (gateway.memory, gateway.cpus) == ("2g", 2)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("hosts: [\n", ["fleet.yml line 2", "expected"]),
        ("hosts:\n\tclaw1: {}\n", ["fleet.yml line 2", "\\t"]),
        ("hosts: {a: {}}\n---\nhosts: {b: {}}\n", ["line 2", "single document"]),
        ("hosts:\n  a: {}\n  b: {}\n  a: {}\n", ["line 4", "'a' is there twice"]),
        ("hosts:\n  a:\n    name: x\n    name: y\n", ["line 4", "'name' is there twice"]),
        ("hosts:\n  1: {}\n", ["line 2", "a key is not text"]),
        ("hosts: {a: !!python/object:os.system {}}\n", ["line 1", "constructor"]),
        ("hosts: {a: *x}\n", ["line 1", "alias"]),
        ("hosts: {a: '\x01'}\n", ["line 1", "special characters"]),
        ("", ["given nothing", "a mapping with all, groups"]),
        ("- a\n", ["given a list", "a mapping with all, groups"]),
        ("all: {}\n", ["hosts: no hosts"]),
        ("hosts: {}\n", ["hosts: no hosts"]),
        ("hosts:\n  - claw1\n", ["line 1: hosts: given a list; accepted: a mapping"]),
        ("hosts: {a: x}\n", ["hosts.a: given text; accepted: a mapping"]),
        ("hosts: {a b: {}}\n", ["hosts.a b", "without spaces"]),
        ("\nhots: {a: {}}\n", ["line 2: hots: unknown key"]),
        ("hosts: {a: {}}\ngroups:\n  g: {host: [a]}\n", ["line 3: groups.g.host: unknown key"]),
        ("hosts: {a: {}}\ngroups: {g: {hosts: a}}\n", ["groups.g.hosts: accepted: a list"]),
        ("hosts: {claw1: {}}\ngroups: {g: {hosts: [claw]}}\n", ["no such host: claw", "claw1?"]),
        ("hosts: {a: {}}\ngroups: {all: {hosts: [a]}}\n", ["groups.all: accepted: letters"]),
        ("hosts: {a: {}}\ngroups: {my group: {}}\n", ["groups.my group: accepted: letters"]),
        ("hosts: {'@nowhere/x': {}}\n", ["no such connector"]),
    ],
)
def test_a_file_that_is_no_inventory(tmp_path, text, words):
    with pytest.raises(SettingsError) as raised:
        load(tmp_path, text)
    for word in ("fleet.yml", *words):
        assert word in str(raised.value)


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(SettingsError, match="cannot be read: No such file"):
        load_yaml_inventory(tmp_path / "none.yml")
    (tmp_path / "binary.yml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match="not text in UTF-8"):
        load_yaml_inventory(tmp_path / "binary.yml")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("gateway:\n      version: 2026.10\n", "line 4): a number"),
        ("gateway:\n      version: 2026.10\n", "gateway.version: given the number 2026.10 ("),
        ("gateway:\n      prot: 1\n", "gateway.prot: unknown key"),
        ("tiem_zone: UTC\n", "line 3); did you mean time_zone?"),
        ("extra_mounts:\n      - /a\n", "line 3): not two or three parts"),
        ("gateway:\n      memory: 1g\n", "line 4)"),
        ("ssh_port: '22'\n", "line 3); accepted: a whole number"),
    ],
)
def test_wrong_settings_are_reported_with_their_line(tmp_path, text, words):
    inventory = load(tmp_path, f"hosts:\n  claw1:\n    {text}")
    with pytest.raises(SettingsError) as raised:
        validate_inventory(inventory, {})
    assert words in str(raised.value)


@pytest.mark.parametrize("name", ["example.yml", "example.py", "local.py"])
def test_shipped_inventories_are_valid(name):
    path = EXAMPLES / name
    with ctx_state.use(State()):
        load = load_yaml_inventory if path.suffix == ".yml" else make_inventory
        inventory = load(str(path))
    settings = validate_inventory(inventory, {})
    if name != "local.py":
        assert settings["claw1"].gateway.memory == "4g"
        assert "OPENAI_API_KEY" in settings["claw2"].credentials
        assert settings["claw3"].home_volume == "openclaw_home"
