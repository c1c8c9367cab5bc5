"""A registry on the host that gives an image: its package, and what it is sent to do."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from operations.images import scripts
from operations.images.sharing import by_registry, groups
from tests.operations.hosts import commands
from toolkit.settings import Settings

LOCAL = {"images": {"registry": {"local": True}}}
SYSTEMD, THERE = "systemd=1\n", "installed docker-registry 2.8.2+ds1-1\n"


def install(system: str = SYSTEMD, packages: str = "", **values: Any) -> list[Any]:
    wanted = Settings.model_validate({**LOCAL, **values})
    facts = {"system": system, "packages": packages, "access": "", "images": ""}
    return commands(by_registry.installed, facts, settings=wanted)


@pytest.fixture(autouse=True)
def gives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "serves", lambda: True)


def test_the_service_of_the_package_is_masked_before_it_is_installed() -> None:
    mask, install_command = install()
    assert mask == "systemctl mask docker-registry.service"
    assert install_command.endswith("-- docker-registry")


def test_what_is_there_or_cannot_serve_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert install(packages=THERE) == []
    assert install(system="") == []
    assert install(sandbox={"enabled": True, "socket": "rootless"}) == []
    monkeypatch.setattr(groups, "serves", lambda: False)
    assert install() == []


def test_a_login_is_in_no_argument(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLAW_REGISTRY", "s3cret")
    login = {"username": "claw", "password": {"env": "CLAW_REGISTRY"}}
    named = {"images": {"registry": {"address": "registry.example.org", **login}}}
    wanted = Settings.model_validate(named)
    authorization = by_registry._authorization(wanted)
    assert json.loads(base64.urlsafe_b64decode(authorization)) == {
        "username": "claw",
        "password": "s3cret",
    }
    script = scripts.render(
        "push.sh.j2",
        wanted,
        image="sha256:1",
        repository="registry.example.org/openclaw",
        architecture="x86_64",
        directory="",
        authorization=authorization,
    )
    (line,) = (line for line in script.splitlines() if authorization in line)
    assert line.strip().startswith("printf ") and line.endswith("|")  # built in: no process
    assert "s3cret" not in script
