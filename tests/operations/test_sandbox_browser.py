"""A gateway in a container and the browsers of its sandboxes: one network, one loopback."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import yaml
from pyinfra.context import ctx_host

from operations.base import snapshot
from operations.gateway import bridges, compose
from operations.images import gateway
from operations.images.identity import Base
from tests.operations.hosts import FakeHost
from toolkit.lockfile import Lock
from toolkit.settings import Settings

Project = Callable[..., dict[str, Any]]


@pytest.fixture
def project(monkeypatch: pytest.MonkeyPatch) -> Project:
    """`project(**browser)`: docker-compose.yml with that browser."""

    def make(**browser: Any) -> dict[str, Any]:
        sandbox = {"enabled": True, "socket": "socket", "browser": browser}
        settings = Settings.model_validate({"sandbox": sandbox})
        monkeypatch.setattr(snapshot, "settings_for", lambda _: settings)
        with ctx_host.use(FakeHost({"files": "", "compose": "", "access": "", "security": ""})):
            return dict(yaml.safe_load(compose._render(settings, "")))

    return make


def test_without_a_browser_the_gateway_is_on_its_own_network_alone(project: Project):
    made = project()
    assert list(made["networks"]) == ["default"]
    assert "networks" not in made["services"]["openclaw-gateway"]


def test_with_one_it_is_on_the_browsers_network_too(project: Project):
    made = project(enabled=True)
    assert made["services"]["openclaw-gateway"]["networks"] == ["default", "browsers"]
    assert made["networks"]["browsers"]["name"] == "openclaw-sandbox-browser"
    assert not made["networks"]["browsers"].get("external")
    options = made["networks"]["browsers"]["driver_opts"]
    wanted = Settings.model_validate({"sandbox": {"enabled": True, "browser": {"enabled": True}}})
    assert options["com.docker.network.bridge.name"] == bridges.browsers_bridge(
        wanted.name, wanted.sandbox
    )


def test_a_network_of_the_users_is_taken_as_it_is(project: Project):
    made = project(enabled=True, network="mine")
    assert made["networks"]["browsers"] == {"name": "mine", "external": True}


@pytest.mark.parametrize("enabled", [True, False])
def test_the_docker_client_opens_ports_only_where_there_are_browsers(enabled: bool):
    sandbox = {"enabled": True, "browser": {"enabled": enabled}}
    settings = Settings.model_validate(
        {"gateway": {"source": "image", "image": "r.example/x:1"}, "sandbox": sandbox}
    )
    dockerfile = gateway.context(settings, Base("r.example/x:1", None), Lock())["Dockerfile"]
    assert ("docker-loopback.sh /out/usr/local/bin/docker" in dockerfile) is enabled
