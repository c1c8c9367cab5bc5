"""The registry that the settings name: what a host is sent to do with it."""

from __future__ import annotations

import base64
import json

import pytest

from operations.images import scripts
from operations.images.sharing import by_registry
from toolkit.settings import Settings


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
        authorization=authorization,
    )
    (line,) = (line for line in script.splitlines() if authorization in line)
    assert line.strip().startswith("printf ") and line.endswith("|")  # built in: no process
    assert "s3cret" not in script
