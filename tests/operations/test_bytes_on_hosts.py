"""Files that stand on every host are what they were: another byte is a change on each of them.

Whoever must change one puts its new digest here, and says in the commit what a host sees of it.
"""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from pyinfra.context import ctx_host

from operations.base import snapshot
from operations.gateway import compose, host_secrets, network, service
from tests.operations.hosts import FakeHost
from toolkit.settings import Settings

ACCESS = "lacking=\nown-engine=\ncgroup2=\nuser=990:989\nsubuid=524288\nsubgid=524288\n"
DIGESTS = {
    "auto": {
        "docker-compose.yml": "9a6ec19213ec5814",
        "rules": "fad674c27c6f2e23",
    },
    "rootless": {
        "docker-compose.yml": "9e0cf873ebd13d01",
        "rules": "aaf37be1e0078ab4",
    },
    "host": {
        "unit": "d96505636703db46",
        "exec.sh": "b24f0a55efc20e64",
        "rules": "3e832641a345131c",
    },
}


def standing(settings: Settings) -> dict[str, str]:
    return {
        "docker-compose.yml": compose.base_file(settings).content,
        "unit": service.unit(settings).content,
        "exec.sh": service.program(settings).content,
        "rules": network.rules(settings).content,
    }


@pytest.mark.parametrize("socket", DIGESTS)
def test_no_byte_differs(socket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing: Any = host_secrets.Private(None, None, {})
    monkeypatch.setattr(host_secrets, "read", lambda _: nothing)
    settings = Settings.model_validate({"sandbox": {"enabled": True, "socket": socket}})
    monkeypatch.setattr(snapshot, "settings_for", lambda _: settings)
    with ctx_host.use(FakeHost({"access": ACCESS})):
        found = standing(settings)
    digests = {
        name: hashlib.sha256(found[name].encode()).hexdigest()[:16] for name in DIGESTS[socket]
    }
    assert digests == DIGESTS[socket]
