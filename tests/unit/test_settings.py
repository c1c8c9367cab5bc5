"""Where settings come from, in which order, and what comes out."""

import json
import random

import pytest
from pydantic import TypeAdapter, ValidationError
from pyinfra.api.inventory import Inventory

from toolkit.settings import Settings, settings_for
from toolkit.settings.model import Gateway
from toolkit.settings.sources import environment
from toolkit.settings.sources.layers import connector_value
from toolkit.settings.sources.resolve import (
    SettingsError,
    resolved,
    sources_in_use,
    validate_inventory,
    warnings_for,
)
from toolkit.settings.types import Mount, parse_mount


def settings_of(data=None, variables=None, override=None, everyone=None, **groups):
    inventory = Inventory(
        ([("claw1", data or {})], everyone or {}),
        override_data=override,
        **{name: (["claw1"], values) for name, values in groups.items()},
    )
    return validate_inventory(inventory, variables or {})["claw1"]


def test_a_host_without_settings_has_the_defaults():
    assert settings_of() == Settings()


def test_sections_are_combined_key_by_key_and_the_nearest_source_wins():
    gateway = settings_of(
        {"gateway": {"port": 1003}},
        {"OPENCLAW_GATEWAY_PORT": "1004", "OPENCLAW_TZ": "Europe/Berlin"},
        {"gateway.port": "1005"},
        {"gateway": {"port": 1001, "memory": "4g", "cpus": 1, "environment": {"A": "1", "B": "1"}}},
        one={"gateway": {"port": 1002, "cpus": 2, "environment": {"B": "2"}}},
        two={"gateway": {"cpus": 3, "tmp_size": "1g"}},
    ).gateway
    assert (gateway.port, gateway.memory, gateway.cpus, gateway.tmp_size) == (1005, "4g", 3, "1g")
    assert gateway.environment == {"A": "1", "B": "2"}


@pytest.mark.parametrize(
    ("sources", "port"),
    [
        (("all",), 1),
        (("all", "group"), 2),
        (("all", "group", "host"), 3),
        (("all", "group", "host", "environment"), 4),
        (("all", "group", "host", "environment", "set"), 5),
        (("set", "all"), 5),
        (("environment", "group"), 4),
    ],
)
def test_precedence(sources, port):
    def data(source, number):
        return {"gateway": {"port": number}} if source in sources else {}

    settings = settings_of(
        data("host", 3),
        {"OPENCLAW_GATEWAY_PORT": "4"} if "environment" in sources else {},
        {"gateway.port": 5} if "set" in sources else {},
        data("all", 1),
        group=data("group", 2),
    )
    assert settings.gateway.port == port


def test_lists_are_replaced_and_references_to_credentials_too():
    settings = settings_of(
        {"gateway": {"apt_packages": ["jq"]}, "credentials": {"K": {"file": "k.txt"}}},
        everyone={"gateway": {"apt_packages": ["git"]}, "credentials": {"K": {"env": "K"}}},
    )
    assert settings.gateway.apt_packages == ("jq",)
    assert settings.credentials["K"].file == "k.txt"
    assert settings.credentials["K"].env is None


def test_an_empty_section_is_not_given_and_none_resets_what_may_be_none():
    settings = settings_of(
        {"gateway": None, "extra_mounts": None, "home_volume": None},
        everyone={"gateway": {"port": 1}, "extra_mounts": ["/a:/b"], "home_volume": "home"},
    )
    assert (settings.gateway.port, settings.extra_mounts) == (1, ("/a:/b",))
    assert settings.home_volume is None


def test_openclaw_keys_are_merged_deeply():
    settings = settings_of(
        {"openclaw": {"agents": {"defaults": {"model": "b"}}}},
        everyone={"openclaw": {"agents": {"defaults": {"model": "a", "timeout": 1.5}}}},
    )
    assert settings.openclaw == {"agents": {"defaults": {"model": "b", "timeout": 1.5}}}


@pytest.mark.parametrize(
    ("key", "given", "expected"),
    [
        ("gateway.version", "2026.10.1", "2026.10.1"),
        ("gateway.port", "19000", 19000),
        ("gateway.install_browser", "true", True),
        ("gateway.cpus", "1.5", 1.5),
        ("gateway.cpus", "", None),
        ("gateway.apt_packages", "git, jq", ("git", "jq")),
        ("gateway.apt_packages", '["git","jq"]', ("git", "jq")),
        ("gateway.apt_packages", "", ()),
        ("gateway.pip_packages", ["a>=1,<2"], ("a>=1,<2",)),
        ("gateway.environment.DEBUG", "007", "007"),
        ("gateway.environment", '{"A": "1"}', {"A": "1"}),
        ("home_volume", "null", None),
        ("openclaw.agents.count", "3", 3),
        ("openclaw.agents.model", "openai/gpt", "openai/gpt"),
        ("gateway", {"port": 5}, None),
    ],
)
def test_overrides_are_read_as_the_model_wants(key, given, expected):
    value = settings_of(override={key: given, "ssh_port": 22, "_sudo": True})
    for part in key.split("."):
        value = value[part] if isinstance(value, dict) else getattr(value, part)
    if key == "gateway":
        assert value.port == 5
    else:
        assert value == expected


@pytest.mark.parametrize(
    ("variables", "key", "expected"),
    [
        ({"OPENCLAW_IMAGE_APT_PACKAGES": "git  jq "}, "gateway.apt_packages", ("git", "jq")),
        ({"OPENCLAW_DOCKER_APT_PACKAGES": "git"}, "gateway.apt_packages", ("git",)),
        (
            {"OPENCLAW_DOCKER_APT_PACKAGES": "git", "OPENCLAW_IMAGE_APT_PACKAGES": "git"},
            "gateway.apt_packages",
            ("git",),
        ),
        ({"OPENCLAW_IMAGE_PIP_PACKAGES": "a==1 b"}, "gateway.pip_packages", ("a==1", "b")),
        ({"OPENCLAW_EXTRA_MOUNTS": "/a:/b, /c:/d:ro"}, "extra_mounts", ("/a:/b", "/c:/d:ro")),
        ({"OPENCLAW_HOME_VOLUME": "openclaw_home"}, "home_volume", "openclaw_home"),
        ({"OPENCLAW_IMAGE": "openclaw:local"}, "gateway.source", "npm"),
        ({"OPENCLAW_IMAGE": "example/x:1"}, "gateway.source", "image"),
        ({"OPENCLAW_IMAGE": "example/x:1"}, "gateway.image", "example/x:1"),
        ({"OPENCLAW_GATEWAY_PORT": "19000"}, "gateway.port", 19000),
        ({"OPENCLAW_GATEWAY_BIND": "lan"}, "gateway.address", "127.0.0.1"),
        ({"OPENCLAW_GATEWAY_BIND": "loopback"}, "gateway.address", "127.0.0.1"),
        ({"OPENCLAW_CONFIG_DIR": "/srv/c/"}, "config_directory", "/srv/c"),
        ({"OPENCLAW_WORKSPACE_DIR": "/srv/w"}, "workspace_directory", "/srv/w"),
        ({"OPENCLAW_TZ": "Europe/Berlin"}, "time_zone", "Europe/Berlin"),
        ({"OPENCLAW_INSTALL_BROWSER": "1"}, "gateway.install_browser", True),
        ({"OPENCLAW_INSTALL_BROWSER": ""}, "gateway.install_browser", False),
        ({"OPENCLAW_SKIP_ONBOARDING": "yes"}, "onboarding.enabled", False),
        ({"OPENCLAW_SKIP_ONBOARDING": "0"}, "onboarding.enabled", True),
        ({"OPENCLAW_SANDBOX": "1"}, "sandbox.enabled", True),
        ({"OPENCLAW_SANDBOX": "no"}, "sandbox.enabled", False),
        (
            {"OPENCLAW_DISABLE_BONJOUR": "1"},
            "gateway.environment",
            {"OPENCLAW_DISABLE_BONJOUR": "1"},
        ),
    ],
)
def test_environment_variables_of_openclaws_own_setup(variables, key, expected):
    value = settings_of(variables=variables)
    for part in key.split("."):
        value = getattr(value, part)
    assert value == expected


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("ssh_port", "2222", 2222),
        ("ssh_port", "x", "x"),
        ("ssh_password", "2222", "2222"),
        ("ssh_allow_agent", "false", False),
        ("ssh_connect_retry_min_delay", "1", 1),
        ("gateway.version", "2026.10", "2026.10"),
    ],
)
def test_connection_data_of_set_is_typed(key, text, value):
    assert connector_value(key, text) == value


def test_a_published_address_of_the_inventory_survives_bind_lan():
    data = {"gateway": {"address": "192.0.2.1"}}
    assert settings_of(data, {"OPENCLAW_GATEWAY_BIND": "lan"}).gateway.address == "192.0.2.1"


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        (
            {"OPENCLAW_DOCKER_APT_PACKAGES": "git", "OPENCLAW_IMAGE_APT_PACKAGES": "jq"},
            "OPENCLAW_IMAGE_APT_PACKAGES and OPENCLAW_DOCKER_APT_PACKAGES",
        ),
        ({"OPENCLAW_GATEWAY_BIND": "0.0.0.0"}, "set gateway.address"),
        ({"OPENCLAW_GATEWAY_PORT": "many"}, "OPENCLAW_GATEWAY_PORT in the environment"),
        ({"OPENCLAW_SKIP_ONBOARDING": "maybe"}, "accepted: 1, true"),
    ],
)
def test_wrong_environment_variables(variables, words):
    with pytest.raises(SettingsError, match=words):
        settings_of(variables=variables)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("OPENCLAW_GATEWAY_TOKEN", "is not supported: the token is made on the host"),
        ("OPENCLAW_EXTENSIONS", "is not supported: install a plugin"),
        ("OPENCLAW_GATEWAY_PROT", "did you mean OPENCLAW_GATEWAY_PORT?"),
        ("OPENCLAW_NEWS", "is not known here and has no effect"),
    ],
)
def test_a_variable_without_effect_is_named_without_its_value(name, said):
    (sentence,) = environment.read({name: "canary", "OPENCLAW_TZ": "UTC"}).unused
    assert name in sentence and said in sentence and "canary" not in sentence


def test_settings_for_remembers_and_says_what_took_effect(monkeypatch):
    monkeypatch.setenv("OPENCLAW_GATEWAY_PORT", "19000")
    monkeypatch.setenv("OPENCLAW_TZ", "Europe/Berlin")
    inventory = Inventory((["claw1"], {}), override_data={"time_zone": "UTC"})
    host = inventory.get_host("claw1")
    first = settings_for(host)
    monkeypatch.setenv("OPENCLAW_GATEWAY_PORT", "20000")
    assert settings_for(host) is first
    assert first.gateway.port == 19000
    assert sources_in_use(host) == ["OPENCLAW_GATEWAY_PORT -> gateway.port"]


def test_what_is_risky_and_allowed_is_warned_of_without_the_secret():
    data = {
        "gateway": {"environment": {"OPENAI_API_KEY": "sk-canary"}, "address": "0.0.0.0"},
        "openclaw": {"channels": {"telegram": {"botToken": "sk-canary"}}},
    }
    host = Inventory(([("claw1", data)], {})).get_host("claw1")
    text = "\n".join(warnings_for(host))
    for key in (
        "gateway.environment.OPENAI_API_KEY",
        "gateway.address",
        "openclaw.channels.telegram.botToken",
    ):
        assert key in text
    assert "sk-canary" not in text


def test_resolved_settings_hide_secrets_and_name_every_directory():
    settings = settings_of(
        {
            "name": "two",
            "gateway": {"environment": {"A": "canary-1"}},
            "build": {"arguments": {"A": "canary-2"}},
            "credentials": {"K": {"command": "echo canary-3"}, "L": {"env": "L"}},
            "openclaw": {"channels": {"telegram": {"botToken": "canary-4", "enabled": True}}},
        }
    )
    shown = resolved(settings)
    assert "canary" not in json.dumps(shown)
    assert shown["credentials"]["L"] == {"env": "L"}
    assert shown["openclaw"]["channels"]["telegram"]["enabled"] is True
    assert shown["directories"]["workspace"] == "/var/lib/two/workspace"


def test_openclaws_own_layout_is_accepted():
    settings = settings_of(
        {
            "directories": {"config": "/srv/c", "workspace": "/srv/c/workspace"},
            "extra_mounts": ["/srv/docs:/home/node/.openclaw/workspace/docs:ro", "/x y:/x y"],
            "home_volume": "/srv/home",
            "openclaw": {"gateway": {"auth": {"rateLimit": {"maxAttempts": 5}}}},
        }
    )
    assert settings.workspace_directory == "/srv/c/workspace"


def test_mounts_never_carry_what_yaml_or_compose_would_interpret():
    """Whatever is accepted is one line with two absolute, normal paths, and stays the same."""
    adapter = TypeAdapter(Mount)
    source = random.Random(9)
    pieces = ["/", "/a", "/b c", "..", ".", ":", ":ro", ":rw", "$X", "\n", "\x85", "\u2028"]
    pieces += ["'", '"', "\\", "`", "#", "- ", "{", "ä", "~", ",", "\t", "\x00", ""]
    accepted = 0
    for _ in range(20_000):
        text = "".join(source.choice(pieces) for _ in range(source.randint(1, 7)))
        if source.random() < 0.7:  # most are nearly right
            text = f"/a{text}:/b{source.choice(pieces)}"
        try:
            mount = adapter.validate_python(text)
        except ValidationError:
            continue
        accepted += 1
        parts = parse_mount(mount)
        assert not set(mount) & set("$\n\x00\x85\u2028\t'\"\\`,")
        for path in (parts.source, parts.target):
            assert path.startswith("/") and ".." not in path.split("/") and "//" not in path
            assert path == "/" or not path.endswith("/")
        assert adapter.validate_python(mount) == mount
        assert parts.read_only == text.endswith(":ro")
    assert accepted > 50


@pytest.mark.parametrize(("ready", "expected"), [(10, 900), (300, 900), (3600, 10_800)])
def test_what_waits_for_openclaw_waits_longer_where_its_gateway_may_take_longer(ready, expected):
    assert Gateway(ready_timeout=ready).patience(900) == expected
