"""A host that is to give an image gives anything: it alone is refused, and nobody gets a tag. The
scripts are the real ones, run here; their engine is a directory."""

from __future__ import annotations

import hashlib
import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import gevent
import pytest
from pyinfra.api.host import Host
from pyinfra.context import ctx_host

from operations.base import channel as plain
from operations.images.sharing import archive, by_stream, processes, transfer
from operations.images.sharing.archive import Archive
from operations.images.sharing.groups import Group
from tests.operations.hosts import FakeHost
from toolkit.settings import Settings

CONFIGURATION = b'{"rootfs": {}}'
IMAGE = f"sha256:{hashlib.sha256(CONFIGURATION).hexdigest()}"
INPUTS = "0" * 64
LAYER = f"sha256:{'1' * 64}"
ENGINE = """#!/bin/sh
case "$1 $2" in
  "save "*) exec tar -c -C {directory}/archive . ;;
  "load "*) exec cat >{directory}/loaded.tar ;;
  "image inspect") case $* in *Labels*) echo {inputs} ;; *) echo {image} ;; esac ;;
  "tag "*) echo "$@" >>{directory}/tags ;;
  "info "*) echo '[]' ;;
esac
"""
HOSTILE = {
    "ends at once": "exit 0",
    "fails": "echo no >&2; exit 1",
    "one line without an end": "tr '\\0' A </dev/zero",
    "no base64": "echo '%%%'; echo '5 '; echo x | gzip",
    "no lengths": "echo e30=; echo 'five '; echo x | gzip",
    "lengths for other layers": "echo e30=; echo '5 5 '; echo x | gzip",
    "a length of petabytes": "echo e30=; echo '999999999999999 '; tr '\\0' A </dev/zero",
    "no gzip": "echo e30=; echo '5 '; tr '\\0' A </dev/zero",
    "more than it said": "echo e30=; echo '5 '; head -c 900000 /dev/urandom | gzip -1",
    "a bomb": "echo e30=; echo '5 '; head -c 900000000 /dev/zero | gzip -9",
    "half a layer": "echo e30=; echo '900000 '; head -c 900000 /dev/urandom | gzip | head -c 1000",
}


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    """What the scripts find as `docker`, and the archive of the image there."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "archive").mkdir()
    (tmp_path / "opt").mkdir()
    (tmp_path / "archive/manifest.json").write_text('[{"Config":"c.json","Layers":["one.tar"]}]')
    (tmp_path / "archive/c.json").write_bytes(CONFIGURATION)
    (tmp_path / "archive/one.tar").write_bytes(b"first")
    text = ENGINE.format(directory=tmp_path, image=IMAGE, inputs=INPUTS)
    (tmp_path / "bin/docker").write_text(text)
    (tmp_path / "bin/docker").chmod(0o755)
    return tmp_path


def streamed(engine: Path, monkeypatch: pytest.MonkeyPatch, hostile: str | None) -> Group:
    """Have one host receive the image of another one, which runs `hostile` instead of the script
    that it is sent; return what the run knows of the image then.
    """
    settings = Settings()
    giver, host = (cast(Host, FakeHost({})) for _ in range(2))
    giver.name = "giver"
    group = Group("openclaw:local", INPUTS, [giver, host], {giver: IMAGE})
    group.archive = Archive(IMAGE, INPUTS, [LAYER])

    @contextmanager
    def process(on: Any, script: str, environment: Any) -> Iterator[plain.Process]:
        text = hostile if on is giver and hostile is not None else script
        file = engine / f"{on.name}.sh"
        file.write_text(text.replace("/opt/openclaw/images", str(engine / "opt")))
        path = f"{engine / 'bin'}:{os.environ['PATH']}"
        running = plain._Local(f"exec env PATH={path} sh {file}")
        try:
            yield running
        finally:
            running.stop()

    monkeypatch.setattr(processes, "process", process)
    monkeypatch.setattr(processes, "answer", lambda *_: "")
    for module in (transfer, by_stream):
        monkeypatch.setattr(module, "settings_for", lambda _: settings, raising=False)
    host.state.print_output = False
    with ctx_host.use(host), gevent.Timeout(120):
        receive = transfer.Receive(settings, group, giver, "", "gateway image")
        assert receive.execute(host.state, host, {})
    return group


def test_an_image_goes_from_one_engine_to_another(
    engine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = streamed(engine, monkeypatch, None)
    assert len(group.sources) == 2 and not group.refused
    assert (engine / "tags").read_text() == f"tag {IMAGE} openclaw:local\n"
    with tarfile.open(engine / "loaded.tar", ignore_zeros=True) as tar:
        names = tar.getnames()
        assert f"{IMAGE.partition(':')[2]}.json" in names and "manifest.json" in names
        (layer,) = [name for name in names if name.endswith(".tar")]
        content = tar.extractfile(layer)
        assert content and content.read() == b"first"


@pytest.mark.parametrize("hostile", list(HOSTILE.values()), ids=list(HOSTILE))
def test_who_gives_anything_else_is_refused_alone(
    hostile: str, engine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "DIRECTORY", str(engine))
    group = streamed(engine, monkeypatch, hostile)
    ((giver, reason),) = group.refused.items()
    assert cast(Host, giver).name == "giver" and reason and len(reason) < 1000
    assert not (engine / "tags").exists(), "nothing got the image's name"
    assert group.archive is None, "what came of it is not passed on"
