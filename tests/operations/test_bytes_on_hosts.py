"""Files that stand on every host are what they were: another byte is a change on each of them.

Whoever must change one puts its new digest here, and says in the commit what a host sees of it;
another `label` is another gateway on every host, which a turn that is running waits for.
"""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from pyinfra.context import ctx_host

from operations.base import snapshot
from operations.gateway import compose, form, host_secrets, network, service
from tests.operations.hosts import FakeHost
from toolkit.settings import Settings

ACCESS = "lacking=\nown-engine=\ncgroup2=\nuser=990:989\nsubuid=524288\nsubgid=524288\n"
DIGESTS = {
    "auto": {
        "docker-compose.yml": "ccb1e7b958637cf3",
        "rules": "fad674c27c6f2e23",
        "label": "30a713d66b50b688",
    },
    "rootless": {
        "docker-compose.yml": "b79bac67d347e22f",
        "rules": "aaf37be1e0078ab4",
        "label": "65b3b86f2a1f4bcf",
    },
    "host": {
        "unit": "d96505636703db46",
        "exec.sh": "198dcaa87a5132de",
        "rules": "3e832641a345131c",
        "label": "4746774dbdbadeba",
    },
}


def standing(settings: Settings) -> dict[str, str]:
    return {
        "docker-compose.yml": compose.base_file(settings).content,
        "unit": service.unit(settings).content,
        "exec.sh": service.program(settings).content,
        "rules": network.rules(settings).content,
        "label": form.of(settings).inputs(settings),
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
        name: (text if name == "label" else hashlib.sha256(text.encode()).hexdigest())[:16]
        for name, text in found.items()
        if name in DIGESTS[socket]
    }
    assert digests == DIGESTS[socket]
