"""An engine that says something without an end, or nothing for ever: a clear error in a while."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pyinfra.api.exceptions import PyinfraError
from pyinfra.context import ctx_host

import operations.engine.state
import operations.gateway.conflicts
import operations.gateway.network
import operations.images.stage
import operations.sandbox.preflight
import operations.sandbox.proof.proof
import operations.sandbox.running
import operations.security.stage
import operations.system  # noqa: F401
from operations import activation
from operations.base import snapshot
from operations.gateway import form, host_secrets, service
from operations.images import building, definitions, scripts
from operations.images.identity import Base
from operations.images.planning import Plan
from tests.operations.engine_api import answering
from tests.operations.hosts import FakeHost
from toolkit.settings import Settings

ENGINES = {
    "says more and more": "exec yes a123456789",
    "complains without an end": "exec yes a123456789 >&2",
    "says one endless line": "exec tr '\\0' x </dev/zero",
    "says nothing": "exec sleep 1000",
    "cannot be ended": "trap '' TERM; while :; do sleep 1000; done",
}
ACCESS = "lacking=\nown-engine=\ncgroup2=\nuser=990:989\nsubuid=524288\nsubgid=524288\n"
IMAGE = "sha256:" + "a" * 64


FEW = ["exec yes a123456789", "exec sleep 1000"]
LONG = [FEW[0], pytest.param(FEW[1], marks=pytest.mark.slow)]
"""Of what asks more than once, and waits each time."""


@pytest.fixture(params=list(ENGINES.values()), ids=list(ENGINES))
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A directory of commands; those that ask the engine find one that has no end."""
    return programs(tmp_path, request.param)


def programs(directory: Path, says: str) -> Path:
    made = directory / "programs"
    made.mkdir()
    for name in ("docker", "curl"):
        (made / name).write_text(f"#!/bin/sh\n{says}\n")
        (made / name).chmod(0o755)
    return made


def run(script: str, engine: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a script whose limits are a second and 1 MiB."""
    script = lowered(script)
    work = engine.parent / "work"
    work.mkdir(exist_ok=True)
    environment = {**os.environ, "PATH": f"{engine}:{os.environ['PATH']}", "TMPDIR": str(work)}
    return subprocess.run(
        ["sh", "-s"],
        input=script,
        env={**environment, **variables},
        cwd=work,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=60,
    )


def unbounded(engine: Path, said: str) -> bool:
    """Return whether what was said tells which limit it was."""
    silent = "sleep" in (engine / "docker").read_text()
    return ("did not end within 1 s" if silent else "said more than ") in said


def lowered(script: str) -> str:
    script = re.sub(r"\b(bounded|kept) [0-9]+ ", r"\1 1 ", script).replace(
        "timeout -k 5", "timeout -k 1"
    )
    script = re.sub(r"\b(engine_seconds(?:=|:-))[0-9]+", r"\g<1>1", script)
    return re.sub(r"\b(bounded 1 |kept 1 |engine_bytes:-)[0-9]{7,}", r"\g<1>1048576", script)


def size(directory: Path) -> int:
    return sum(path.lstat().st_size for path in directory.rglob("*") if path.is_file())


# The snapshot


class There(FakeHost):
    """Runs here what it is asked."""

    def __init__(self, engine: Path) -> None:
        super().__init__({})
        self.engine = engine

    def run_shell_command(self, command: Any, **_: Any) -> tuple[bool, SimpleNamespace]:
        script = re.sub("^export LC_ALL=C PATH=.*$", "", command.get_raw_value(), flags=re.M)
        done = run(script, self.engine)
        return True, SimpleNamespace(stdout=done.stdout, stderr=done.stderr)


def more_and_more(to: Any) -> None:
    to.write(b"HTTP/1.0 200 OK\r\n\r\n[")
    while True:
        to.write(b'{"Id":"a123456789"},' * 1000)


def a_long_list(to: Any) -> None:
    to.write(b"HTTP/1.0 200 OK\r\n\r\n[" + b'{"Image":"%s"},' % (b"a" * 99_999) * 20 + b"]")


def nothing(_: Any) -> None:
    time.sleep(30)


@pytest.mark.parametrize("says", [more_and_more, a_long_list, nothing])
def test_the_snapshot_says_so(
    says: Callable[[Any], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    socket = tmp_path / "s"
    settings = Settings.model_validate({"engine": {"socket": str(socket)}})
    monkeypatch.setattr(snapshot, "settings_for", lambda _: settings)
    host: Any = There(programs(tmp_path, "exit 1"))
    with (
        answering(socket, {"/info": {}, "/containers/json?all=1": says}),
        ctx_host.use(host),
        pytest.raises(PyinfraError) as raised,
    ):
        snapshot.read(host)
    why = "did not end within 1 s" if says is nothing else "said more than 1048576 bytes"
    assert str(raised.value) == f"host: the engine cannot be asked: {socket} {why}"


@pytest.mark.slow
def test_what_asks_by_docker_says_so(engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = {"home_volume": "home", "sandbox": {"enabled": True, "socket": "socket"}}
    settings = Settings.model_validate(wanted)
    monkeypatch.setattr(snapshot, "settings_for", lambda _: settings)
    monkeypatch.setattr(
        snapshot,
        "_shared",
        [
            (lambda _: f"of() {{ echo 'sandbox {'a' * 64}'; }}", names)
            for _, names in snapshot._shared
        ],
    )
    host: Any = There(engine)
    facts = {name: snapshot._facts[name] for name in ("occupied", "sandboxes")}
    for name, kind in facts.items():
        assert re.search("^ *docker ", kind.script(settings), re.M)
        monkeypatch.setattr(snapshot, "_facts", {name: kind})
        with ctx_host.use(host), pytest.raises(PyinfraError) as raised:
            snapshot.read(host)
        snapshot.forget(host)
        assert str(raised.value).startswith("host: the engine cannot be asked: docker ")
        # What nobody reads may be of any size, but not take any time.
        assert unbounded(engine, str(raised.value)) or "did not end" in str(raised.value)


def test_an_engine_that_is_not_there_has_no_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "settings_for", lambda _: Settings())
    host: Any = There(programs(tmp_path, "exit 1"))
    with ctx_host.use(host):
        assert snapshot.of(activation.Running) == activation.Running()


# Scripts


@pytest.mark.parametrize("engine", FEW, indirect=True)
def test_an_image_is_not_given(engine: Path) -> None:
    spool = engine.parent / "spool"
    spool.mkdir()
    script = scripts.render("give.sh.j2", Settings(), image=IMAGE, layers=[1], directory=str(spool))
    # As if the disk had 2 MiB that are free.
    done = run(script.replace("room() { echo", "room() { echo 1048576; return;"), engine)
    assert done.returncode and unbounded(engine, done.stderr)
    assert list(spool.iterdir()) == []


def test_an_archive_with_holes_is_not_compressed(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    spool.mkdir()
    hole = tmp_path / "archive"
    hole.mkdir()
    (hole / "layer.tar").touch()
    os.truncate(hole / "layer.tar", 1 << 42)
    (hole / "manifest.json").write_text('[{"Config":"manifest.json","Layers":["layer.tar"]}]')
    engine = programs(tmp_path, f"exec tar -c --sparse --hole-detection=seek -C {hole} .")
    script = scripts.render("give.sh.j2", Settings(), image=IMAGE, layers=[1], directory=str(spool))
    done = run(script, engine)
    assert done.returncode and "has holes" in done.stderr
    assert list(spool.iterdir()) == []


@pytest.mark.parametrize("engine", LONG, indirect=True)
def test_an_image_is_not_pulled_loaded_or_built(engine: Path) -> None:
    log = engine.parent / "log"
    base = Base("debian:12", IMAGE)
    plans = {definitions.GATEWAY: Plan(base)}
    (built,) = building.command(Settings(), plans).connector_arguments["_stdin"]
    built = built.replace("/opt/openclaw/images/gateway.log", str(log))
    received = {"image": IMAGE, "inputs": "0" * 64, "tag": "x:1", "probe": ""}
    pulled = {**received, "repository": "r.example/x", "digest": IMAGE, "authorization": "e30="}
    for script in (
        built,
        scripts.render("pull.sh.j2", Settings(), reference="debian:12"),
        scripts.render("receive.sh.j2", Settings(), repository="", **received),
        scripts.render("receive.sh.j2", Settings(), **pulled),
    ):
        done = run(script, engine)
        assert done.returncode, script
        assert size(engine.parent / "work") == 0
        assert len(done.stdout) + len(done.stderr) < 1 << 17
    assert log.stat().st_size <= (1 << 20) + 1000


@pytest.mark.parametrize("engine", FEW, indirect=True)
def test_an_image_is_not_pushed(engine: Path) -> None:
    (engine / "docker").write_text(f"#!/bin/sh\necho {'0' * 64}\n")
    script = scripts.render(
        "push.sh.j2",
        Settings(),
        image=IMAGE,
        repository="r.example/x",
        architecture="amd64",
        directory="",
        authorization="e30=",
    )
    done = run(script, engine)
    assert done.returncode and "stored" not in done.stdout
    assert size(engine.parent / "work") == 0


@pytest.mark.parametrize("engine", LONG, indirect=True)
@pytest.mark.parametrize("socket", ["rootless", "host"])
def test_what_asks_about_the_gateway_comes_to_an_end(
    engine: Path, socket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = Settings.model_validate({"sandbox": {"enabled": True, "socket": socket}})
    monkeypatch.setattr(host_secrets, "read", lambda settings: host_secrets.Private(None, None, {}))
    monkeypatch.setattr(snapshot, "settings_for", lambda _: wanted)
    (engine / "systemd-run").write_text((engine / "docker").read_text())
    (engine / "systemd-run").chmod(0o755)
    host: Any = FakeHost({"access": ACCESS})
    with ctx_host.use(host):
        functions = str(form.shell(wanted))
        program = service.program(wanted).content if socket == "host" else ""
    path = engine.parent / "exec.sh"
    path.write_text(lowered(program))
    functions = functions.replace("/opt/openclaw/exec.sh", str(path))
    for asked in ("gateway_status", "gateway_log --tail 5", "gateway_exec id", "gateway_start"):
        done = run(f"{functions}\nmkdir -p run\n{asked}", engine)
        assert len(done.stdout) + len(done.stderr) < 4 << 20, asked


@pytest.mark.parametrize("engine", LONG, indirect=True)
def test_an_image_is_not_laid_out(engine: Path) -> None:
    wanted = Settings.model_validate({"sandbox": {"enabled": True, "socket": "host"}})
    host: Any = FakeHost({"access": ACCESS})
    with ctx_host.use(host):
        functions = form.shell(wanted)
    trees = engine.parent / "trees"
    done = run(f"{functions}\nroom() {{ echo 1048576; }}\ntrees={trees}\nlay_out {IMAGE}", engine)
    assert done.returncode and unbounded(engine, done.stderr)
    assert size(trees) == 0
