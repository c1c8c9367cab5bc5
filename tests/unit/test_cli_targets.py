"""From what the user typed after a verb to hosts, and back to ssh arguments."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyinfra.api.config import Config
from pyinfra.api.state import State
from pyinfra.context import ctx_state

from commandline.targets import Address, TargetError, load_inventory, parse_assignments, ssh_options


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("example.org", Address("example.org")),
        ("my_vps", Address("my_vps")),
        ("root@203.0.113.7", Address("203.0.113.7", "root")),
        ("deploy@203.0.113.7:2222", Address("203.0.113.7", "deploy", 2222)),
        ("[2001:db8::7]:2222", Address("2001:db8::7", None, 2222)),
        ("root@[2001:db8::7]", Address("2001:db8::7", "root")),
        ("2001:db8::7", Address("2001:db8::7")),
        ("root@::1", Address("::1", "root")),
        ("[fe80::1%eth0]:22", Address("fe80::1%eth0", None, 22)),
        ("root@fe80::1%eth0", Address("fe80::1%eth0", "root")),
        ("ssh://root@203.0.113.7:2222", Address("203.0.113.7", "root", 2222)),
        ("ssh://claw1/", Address("claw1")),
        ("team/web+1", Address("team/web+1")),
    ],
)
def test_address(text: str, address: Address) -> None:
    assert Address.parse(text) == address


@pytest.mark.parametrize(
    "text",
    [
        *("", "a b", "root@", "@", "root@@host", "host:", "host:ssh", "host:0", "host:70000"),
        *("-oProxyCommand=x", "user@-oProxyCommand=x", "/etc", "ssh://", "$(id)", "[::1", "-x@h"),
    ],
)
def test_not_an_address(text: str) -> None:
    with pytest.raises(TargetError, match="target"):
        Address.parse(text)


def test_no_target_is_this_machine() -> None:
    with ctx_state.use(State()):
        assert list(load_inventory(None, {}).hosts) == ["@local"]


@pytest.mark.parametrize("text", ["", " ", "\t"])
def test_an_empty_target_is_not_this_machine(text: str) -> None:
    with pytest.raises(TargetError, match="the target is empty"):
        load_inventory(text, {})


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("hosts = []\nexit(0)\n", "line 2: it calls exit"),
        ("import os\nhosts = [os.environ['NO_SUCH']]\n", "line 2: KeyError: 'NO_SUCH'"),
        ("hosts = [\n", "line 1: SyntaxError"),
    ],
)
def test_an_inventory_whose_code_fails(tmp_path: Path, code: str, said: str) -> None:
    (tmp_path / "fleet.py").write_text(code)
    with ctx_state.use(State()), pytest.raises(TargetError, match=f"fleet.py, {said}"):
        load_inventory(str(tmp_path / "fleet.py"), {})


def test_address_becomes_host_data() -> None:
    inventory = load_inventory("deploy@203.0.113.7:2222", {"gateway.port": "19000"})
    (host,) = inventory
    assert host.name == "203.0.113.7"
    assert host.data.ssh_user == "deploy"
    assert host.data.ssh_port == 2222
    assert host.data.get("gateway.port") == "19000"


def test_two_hosts_with_a_comma() -> None:
    assert list(load_inventory("root@a,root@b", {}).hosts) == ["a", "b"]


def test_one_address_with_two_ports_is_two_hosts() -> None:
    assert list(load_inventory("h:2201,h:2202", {}).hosts) == ["h:2201", "h:2202"]


def test_python_inventory_with_group_data(tmp_path: Path) -> None:
    (tmp_path / "group_data").mkdir()
    (tmp_path / "group_data" / "edge.py").write_text("name = 'edge'\n")
    fleet = tmp_path / "fleet.py"
    fleet.write_text("edge = ['a', ('b', {'ssh_port': 2201})]\ncore = ['c']\n")
    with ctx_state.use(State()):
        inventory = load_inventory(str(fleet), {})
    assert list(inventory.hosts) == ["a", "b", "c"]
    assert inventory.get_host("a").data.get("name") == "edge"
    assert inventory.get_host("c").data.get("name") is None


@pytest.mark.parametrize("name", ["missing.yml", "missing.py"])
def test_missing_inventory(name: str) -> None:
    with pytest.raises(TargetError, match=f"inventory {name}: no such file"):
        load_inventory(name, {})


def test_empty_inventory(tmp_path: Path) -> None:
    (tmp_path / "none.py").write_text("hosts = []\n")
    with ctx_state.use(State()), pytest.raises(TargetError, match="has no hosts"):
        load_inventory(str(tmp_path / "none.py"), {})


def test_assignments_stay_strings_but_for_lists_and_mappings() -> None:
    pairs = (
        "gateway.version=2026.10",
        "time_zone=Europe/Berlin",
        'gateway.apt_packages=["git", "jq"]',
        'openclaw={"a": {"b": 1}}',
        "gateway.environment.X=a=b",
    )
    assert parse_assignments(pairs) == {
        "gateway.version": "2026.10",
        "time_zone": "Europe/Berlin",
        "gateway.apt_packages": ["git", "jq"],
        "openclaw": {"a": {"b": 1}},
        "gateway.environment.X": "a=b",
    }


@pytest.mark.parametrize("pair", ["gateway.port", "=1", "openclaw={", "gateway.apt_packages=[git]"])
def test_malformed_assignment_names_itself(pair: str) -> None:
    with pytest.raises(TargetError, match=pair.partition("=")[0] or "--set"):
        parse_assignments((pair,))


def test_ssh_goes_where_pyinfra_goes() -> None:
    overrides = {"ssh_key": "/k", "ssh_known_hosts_file": "/h", "ssh_config_file": "/c"}
    inventory = load_inventory("deploy@[2001:db8::7]:2222", overrides)
    State(inventory, Config())
    (host,) = inventory
    assert ssh_options(host) == [
        *("-p", "2222", "-i", "/k", "-F", "/c", "-o", "UserKnownHostsFile=/h"),
        "deploy@2001:db8::7",
    ]


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("a,,b", ["'a,,b'", "a name is empty"]),
        ("@dokcer/x", ["@dokcer/x", "did you mean @docker?"]),
        ("no-such.yml", ["no-such.yml", "no such file"]),
        ("/etc/passwd/x.yml", ["/etc/passwd/x.yml", "Not a directory"]),
        ("/dev/" + "x" * 300, ["accepted are nothing or @local"]),
    ],
)
def test_targets_that_are_none_are_named(target: str, words: list[str]) -> None:
    with pytest.raises(TargetError) as refused:
        load_inventory(target, {})
    for word in words:
        assert word in str(refused.value)


def test_a_misspelt_inventory_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "fleet.yml").touch()
    (tmp_path / "dir.yml").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TargetError, match=r"did you mean fleet\.yml\?"):
        load_inventory("flet.yml", {})
    with pytest.raises(TargetError, match="not a regular file"):
        load_inventory("dir.yml", {})


def test_what_an_inventory_prints_is_no_answer_of_ours(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "fleet.py").write_text('print("hello")\nhosts = ["claw1"]\n')
    with ctx_state.use(State()):
        assert len(load_inventory(str(tmp_path / "fleet.py"), {})) == 1
    said = capsys.readouterr()
    assert said.out == "" and said.err == "hello\n"
