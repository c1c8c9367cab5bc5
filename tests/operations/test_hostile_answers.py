"""A host that answers each probe with anything: its own clear problem, and never an exception."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from pyinfra.api.exceptions import PyinfraError
from pyinfra.context import ctx_host

import operations.engine.preflight
import operations.gateway.network
import operations.gateway.service
import operations.images.sandbox.stage
import operations.images.stage
import operations.record
import operations.security.stage
import operations.verification  # noqa: F401
from operations import activation
from operations.base import preflight, snapshot
from tests.operations.hosts import FakeHost, answered, framed, private_answer
from toolkit.settings import Settings

JSON = ["null", "true", "7", '"x"', "[]", "[[]]", "{}", '{"x": []}', '{"agents": "x"}']
KEYS = (
    *("time", "server", "daemon", "memory", "disk", "listener", "machine", "release", "previous"),
    *("image", "pulled", "used", "sandbox", "record", "host_config", "ports", "installed"),
    *("form", "gid", "status", "unfinished", "readyz", "engine", "arguments", "proxies"),
)
HOSTILE = {
    "nothing": "",
    "words": "a b c\n\n|||\n=\n: x",
    "megabytes": "x" * 5_000_000,
    "lines": "x\n" * 100_000,
    "controls": "\x1b]52;c;ZXZpbA==\x07\x9b2J\x1e\x00 [/red] \u202e\r",
    "not UTF-8": "\ufffd\udcff\udc9b=\udcff",
    "deep": "[" * 100_000,
    "numbers": "\n".join(f"{key}={'9' * 5000}" for key in KEYS),
    "words for numbers": "\n".join(f"{key}=-x" for key in KEYS),
    "fields": "\n".join(f"{key}=|||||||||||" for key in KEYS),
    "few fields": "\n".join(f"{key}=" for key in KEYS),
    **{f"JSON {one}": "\n".join(f"{key} {one}\n{key}={one}" for key in KEYS) for one in JSON},
}
WANTED = [
    Settings(),
    Settings.model_validate({"sandbox": {"enabled": True, "browser": {"enabled": True}}}),
]


class Hostile(FakeHost):
    """Answers one probe with anything, the others with nothing."""

    connected = True

    def __init__(self, probe: str, said: str) -> None:
        super().__init__({probe: said})
        self.state.failed_hosts = set()

    def run_shell_command(self, command: Any, **options: Any) -> tuple[bool, SimpleNamespace]:
        question = "\n".join([*options.get("_stdin", ()), command.get_raw_value()])
        if "lane0" in question:
            said = framed(question, self.snapshots[0])
        else:
            said = answered(question, private_answer(None, None, ""))
        return True, SimpleNamespace(stdout=said, stderr="")


@pytest.mark.slow
@pytest.mark.parametrize("settings", WANTED, ids=["plain", "sandboxes"])
@pytest.mark.parametrize("said", HOSTILE.values(), ids=HOSTILE)
def test_what_a_host_answers_is_its_own_trouble(said, settings, monkeypatch) -> None:
    for module in (snapshot, preflight):
        monkeypatch.setattr(module, "settings_for", lambda _: settings)
    asked = snapshot.script(settings)
    monkeypatch.setattr(snapshot, "script", lambda _: asked)  # the same each time
    for probe in sorted(snapshot._facts):
        host: Any = Hostile(probe, said)
        with ctx_host.use(host):
            problems = preflight._problems_of(host.state, host)
            assert all(len(one.what) < 5000 for one in problems), probe
            activation.known(host)


def test_a_host_that_answers_nothing_at_all(monkeypatch) -> None:
    for module in (snapshot, preflight):
        monkeypatch.setattr(module, "settings_for", lambda _: Settings())
    host: Any = Hostile("system", "")
    host.run_shell_command = lambda *_, **__: (True, SimpleNamespace(stdout="Bye", stderr=""))
    (problem,) = preflight._problems_of(host.state, host)
    assert problem.what.endswith("it does not run what it is asked to, but says: Bye")
    with pytest.raises(PyinfraError):
        snapshot.read(host)
