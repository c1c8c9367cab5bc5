"""The archive of an engine without root, which whoever has its socket may have replaced."""

from __future__ import annotations

import base64
import gzip
import os
import subprocess
from pathlib import Path

import pytest

from operations.images import scripts
from toolkit.settings import Settings

CONFIGURATION = b'{"rootfs": {}}'


def given(tmp_path: Path, made: str) -> subprocess.CompletedProcess[bytes]:
    """Run the script that gives an image of which `made` has changed the archive."""
    archive, spool, programs = (tmp_path / name for name in ("archive", "spool", "programs"))
    for directory in (archive, spool, programs):
        directory.mkdir()
    (archive / "manifest.json").write_text('[{"Config":"c.json","Layers":["one.tar","two.tar"]}]')
    (archive / "c.json").write_bytes(CONFIGURATION)
    (archive / "one.tar").write_bytes(b"first")
    # As engines before 25 do.
    (archive / "two.tar").symlink_to("one.tar")
    subprocess.run(["sh", "-euc", made], cwd=archive, check=True)
    docker = programs / "docker"
    docker.write_text(f"#!/bin/sh\nexec tar -c -C {archive} .\n")
    docker.chmod(0o755)
    script = scripts.render(
        "give.sh.j2", Settings(), image="sha256:" + "a" * 64, layers=[1, 2], directory=str(spool)
    )
    environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["sh", "-s"], input=script.encode(), env=environment, capture_output=True, timeout=30
    )
    assert list(spool.iterdir()) == []
    return done


def test_an_image_is_given_whole(tmp_path: Path) -> None:
    configuration, lengths, data = given(tmp_path, ":").stdout.split(b"\n", 2)
    assert base64.b64decode(configuration) == CONFIGURATION
    assert lengths.split() == [b"5", b"5"]
    assert gzip.decompress(data) == b"firstfirst"


@pytest.mark.parametrize(
    "made",
    [
        "ln -s ../../canary .layers",
        "ln -s ../../../canary .layers; ln -s ../../../canary layers; ln -s ../../../canary status",
        "ln -sf ../../../canary manifest.json",
        "ln -sf ../../../canary c.json",
        "ln -sf ../../../canary one.tar",
        "rm one.tar; mkfifo one.tar",
        "rm c.json; mkfifo c.json",
        "ln -sf /dev/zero c.json",
        'sed -i "s#c.json#../../../canary#" manifest.json',
        'sed -i "s#two.tar#../../../canary#" manifest.json',
        'sed -i "s#two.tar#../status#" manifest.json',
    ],
)
def test_an_archive_leads_to_no_file_of_the_host(made: str, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    canary.write_text("root's own\n")
    done = given(tmp_path, made)
    assert canary.read_text() == "root's own\n"
    assert base64.b64encode(b"root's own\n") not in done.stdout
    assert b"root's own" not in done.stdout
    assert gzip.compress(b"root's own\n", 1, mtime=0)[10:] not in done.stdout
    if ".layers" not in made:
        assert done.returncode and b"the archive of this engine" in done.stderr
