"""The sandbox section: what its values accept, single agents, and presets."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError
from pyinfra.api.inventory import Inventory

from toolkit.settings import Settings
from toolkit.settings.sandbox import presets, types
from toolkit.settings.sources.resolve import SettingsError, resolved, validate_inventory


def sandbox(**values: Any) -> Any:
    return Settings.model_validate({"sandbox": values}).sandbox


@pytest.mark.parametrize(
    ("kind", "given", "expected"),
    [
        (types.Tmpfs, "/tmp", "/tmp"),
        (
            types.Tmpfs,
            "/tmp//x/:rw,nosuid,size=64m,mode=1777",
            "/tmp/x:rw,nosuid,size=64m,mode=1777",
        ),
        (types.Capability, "cap_net_raw", "NET_RAW"),
        (types.Capability, "all", "ALL"),
        (types.UlimitValue, "1024:2048", "1024:2048"),
        (types.UlimitValue, "1024:-1", "1024:-1"),
        (types.ExtraHost, "a.example:10.0.0.5", "a.example:10.0.0.5"),
        (types.ExtraHost, "a.example:[2001:DB8::1]", "a.example:2001:db8::1"),
        (types.ExtraHost, "host:host-gateway", "host:host-gateway"),
        (types.Bind, "/srv/a/:/a:ro", "/srv/a:/a:ro"),
        (types.ContainerNetwork, "intern", "intern"),
        (types.AddressRange, "172.21.0.1", "172.21.0.1/32"),
        (types.AddressRange, "10.0.0.0/8", "10.0.0.0/8"),
        (types.ContainerUser, "1000:1000", "1000:1000"),
        (types.ToolName, "docs__*", "docs__*"),
        (types.ToolName, "group:fs", "group:fs"),
        (types.WorkDirectory, "/workspace/", "/workspace"),
    ],
)
def test_what_a_value_accepts(kind: Any, given: str, expected: str) -> None:
    assert TypeAdapter(kind).validate_python(given) == expected


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        (types.Tmpfs, "tmp"),
        (types.Tmpfs, "/"),
        (types.Tmpfs, "/tmp:size=lots"),
        (types.Tmpfs, "/tmp:suidd"),
        (types.Tmpfs, "/tmp:"),
        (types.Capability, "NET_EVERYTHING"),
        (types.UlimitName, "files"),
        (types.UlimitValue, "many"),
        (types.UlimitValue, "2:1"),
        (types.UlimitValue, "-1:1"),
        (types.ExtraHost, "a.example"),
        (types.ExtraHost, "a.example:b.example"),
        (types.ExtraHost, "-a:10.0.0.1"),
        (types.Bind, "/srv/a:/a"),
        (types.Bind, "/srv/a:a:ro"),
        (types.Bind, "volume:/a:ro"),
        (types.ContainerNetwork, "host"),
        (types.ContainerNetwork, "container:x"),
        (types.BrowserNetwork, "none"),
        (types.BrowserNetwork, "bridge"),
        (types.BrowserNetwork, "host"),
        (types.AddressRange, "10.0.0.1/8"),
        (types.ContainerUser, "node"),
        (types.ContainerUser, "1000"),
        (types.ToolName, "exec; rm"),
        (types.ToolName, "group:*"),
        (types.AgentId, "Main"),
        (types.WorkDirectory, "/usr/share"),
        (types.WorkDirectory, "/"),
    ],
)
def test_what_a_value_refuses(kind: Any, given: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(kind).validate_python(given)


@pytest.mark.parametrize(
    ("entry", "size"),
    [
        ("/tmp:size=64m", 64 << 20),
        ("/tmp:rw,size=4096", 4096),
        ("/tmp", None),
        ("/t:size=5%", None),
    ],
)
def test_the_size_of_a_tmpfs(entry: str, size: int | None) -> None:
    assert types.parse_tmpfs(entry).size == size


@pytest.mark.parametrize(
    ("patterns", "matches"),
    [
        (["browser"], True),
        (["bro*"], True),
        (["*"], True),
        (["group:ui"], True),
        (["group:fs", "exec"], False),
        ([], False),
    ],
)
def test_what_names_a_tool(patterns: list[str], matches: bool) -> None:
    assert types.tool_matches(patterns, "browser") == matches


# Errors


def test_an_error_names_the_key_of_the_agent_and_what_is_accepted() -> None:
    data = {"sandbox": {"agents": {"family": {"container": {"network": "host"}}}}}
    inventory = Inventory(([("claw1", data)], {}))
    with pytest.raises(SettingsError) as error:
        validate_inventory(inventory, {})
    assert (
        "sandbox.agents.family.container.network: given 'host' (data of the host): it would give "
        "tools the host's network, loopback included; accepted: `none`, `bridge`"
        in str(error.value)
    )


def test_variables_of_a_sandbox_are_never_shown() -> None:
    container = {"environment": {"A": "canary$"}}
    for section in ({"container": container}, {"agents": {"x": {"container": container}}}):
        inventory = Inventory(([("claw1", {"sandbox": section})], {}))
        with pytest.raises(SettingsError) as error:
            validate_inventory(inventory, {})
        assert "environment.A" in str(error.value)
        assert "canary" not in str(error.value)


def test_shown_settings_of_an_agent_are_those_that_were_given() -> None:
    container = {"memory": "2g", "environment": {"A": "canary"}}
    given = Settings.model_validate(
        {"sandbox": {"container": container, "agents": {"x": {"container": container}}}}
    )
    shown = resolved(given)["sandbox"]
    assert shown["agents"]["x"]["container"]["memory"] == "2g"
    assert set(shown["agents"]["x"]) == {"container"}
    assert "canary" not in str(shown)


# Presets


@pytest.mark.parametrize("name", presets.NAMES)
def test_a_preset_fits_all_agents_and_a_single_one(name: str) -> None:
    everyone = sandbox(enabled=True, preset=name)
    single = sandbox(enabled=True, agents={"x": {"preset": name}}).agents["x"]
    for section in (everyone, single):
        for key in ("mode", "scope", "workspace_access"):
            assert key in section.model_fields_set
    assert (single.mode, single.scope) == (everyone.mode, everyone.scope)


def test_every_preset_is_a_file_and_every_file_a_preset() -> None:
    files = {path.stem for path in (presets.Path(presets.__file__).parent).glob("*.yml")}
    assert files == set(presets.NAMES)


def test_what_is_given_wins_over_the_preset_key_by_key() -> None:
    found = sandbox(
        preset="public-without-tools",
        scope="agent",
        container={"memory": "256m", "memory_swap": "256m"},
        tools={"deny": None},
    )
    assert (found.scope, found.workspace_access) == ("agent", "none")
    assert (found.container.memory, found.container.pids_limit) == ("256m", 64)
    assert found.tools.allow == ("session_status",)
    assert found.tools.deny is None


def test_a_preset_is_below_every_layer_of_the_inventory() -> None:
    def of(everyone: Any, host: Any, override: Any = None) -> Any:
        inventory = Inventory(([("claw1", host)], everyone), override_data=override)
        return validate_inventory(inventory, {})["claw1"].sandbox

    everyone = {"sandbox": {"container": {"network": "intern"}, "workspace_access": "ro"}}
    host = {"sandbox": {"preset": "personal", "workspace_access": "none"}}
    found = of(everyone, host)
    assert (found.container.network, found.container.memory) == ("intern", "2g")
    assert found.workspace_access == "none"
    found = of(everyone, host, {"sandbox.preset": "family-read-only"})
    assert (found.container.memory, found.workspace_access) == ("1g", "none")


def test_public_strangers_get_no_tool_that_touches_anything() -> None:
    tools = sandbox(preset="public-without-tools").tools
    for tool in ("exec", "process", "read", "write", "edit", "apply_patch", "browser", "gateway"):
        assert types.tool_matches(tools.deny, tool)
        assert not types.tool_matches(tools.allow, tool)


def test_an_unknown_preset_is_an_error() -> None:
    with pytest.raises(ValidationError, match="preset"):
        sandbox(preset="mine")
