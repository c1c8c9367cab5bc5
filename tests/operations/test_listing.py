"""The engine is asked once for what several facts want to know of it, and says what they need."""

from __future__ import annotations

import socket as sockets
from collections import Counter
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pyinfra.context import ctx_host

from operations import verification  # noqa: F401 (and with it all facts)
from operations.activation import Running
from operations.base import snapshot
from operations.gateway.conflicts import There
from operations.images import listing
from operations.images.state import Images
from operations.system import System
from tests.operations.hosts import FakeHost
from tests.operations.test_endless_engine import run
from toolkit.settings import Settings

ID, IMAGE, INPUTS = "c" * 64, "sha256:" + "a" * 64, "b" * 64
ANSWERS = {
    "image ls": IMAGE,
    "image inspect": f"""image {IMAGE}|["openclaw:local"]|"{INPUTS}"||"openclaw"|
tag openclaw:local {IMAGE}
wanted_image {IMAGE}
["image","{IMAGE}",["openclaw:local"],"{INPUTS}"]""",
    "ps --all": f"""own "127.0.0.1:18789->18789/tcp"
gateway {ID}
id {ID}
["container","g","openclaw","/opt/openclaw","openclaw-gateway","0","openclaw:local","running","",""]
id {"d" * 64}
["container","another","","","","","nginx","running","0.0.0.0:80->80/tcp",""]""",
    "network inspect": 'network bridge false 1500\n["network","bridge",""]',
    "inspect -f": f"image {IMAGE}\nstatus exited",
    "info --format": "server=20.10.24",
}


class There_(FakeHost):
    def __init__(self, programs: Path) -> None:
        super().__init__({})
        self.programs = programs

    def run_shell_command(self, command: Any, **_: Any) -> tuple[bool, SimpleNamespace]:
        script = command.get_raw_value().replace("export LC_ALL=C PATH=", "export LC_ALL=C UNUSED=")
        done = run(script, self.programs)
        return True, SimpleNamespace(stdout=done.stdout, stderr=done.stderr)


def test_each_question_is_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs, calls = tmp_path / "programs", tmp_path / "calls"
    programs.mkdir()
    cases = "\n".join(f"'{words}') cat <<'EOF'\n{said}\nEOF\n;;" for words, said in ANSWERS.items())
    docker = f'#!/bin/sh\necho "$1 $2" >>{calls}\ncase "$1 $2" in\n{cases}\nesac\n'
    (programs / "docker").write_text(docker)
    (programs / "docker").chmod(0o755)
    engine = tmp_path / "s"
    settings = Settings.model_validate({"engine": {"socket": str(engine)}})
    monkeypatch.setattr(snapshot, "settings_for", lambda _: settings)
    host: Any = There_(programs)
    with closing(sockets.socket(sockets.AF_UNIX)) as listening, ctx_host.use(host):
        listening.bind(str(engine))
        there = snapshot.read(host)
    assert Counter(calls.read_text().splitlines()) == Counter(list(ANSWERS))
    assert there.of(System).deployed
    assert there.of(Running).wanted_image == there.of(Running).image == IMAGE
    assert there.of(Running).status == "exited"
    assert there.of(Images).images[0].inputs == INPUTS
    found = there.of(There)
    assert [one.name for one in found.containers] == ["g", "another"]
    assert [image.tags for image in found.images] == [("openclaw:local",)]


@pytest.mark.parametrize(
    ("reference", "shown"),
    [
        ("docker.io/library/node:24-slim", "node:24-slim"),
        ("docker.io/owner/name:1", "owner/name:1"),
        (f"ghcr.io/openclaw/openclaw:1@{IMAGE}", f"ghcr.io/openclaw/openclaw@{IMAGE}"),
        ("registry.local:5000/library/node:24", "registry.local:5000/library/node:24"),
    ],
)
def test_a_reference_is_what_the_engine_shows(reference: str, shown: str) -> None:
    assert listing.familiar(reference) == shown
