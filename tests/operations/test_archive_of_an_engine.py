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


# What becomes an argument


def asked(script: str, tmp_path: Path, says: str) -> tuple[subprocess.CompletedProcess[str], str]:
    """Run a script whose engine says something; return what it was asked and told."""
    programs, calls = tmp_path / "programs", tmp_path / "calls"
    programs.mkdir()
    for name in ("docker", "curl"):
        text = f'#!/bin/sh\nprintf "%s\\n" "{name}" "$@" >>{calls}\nprintf "%b" "$SAYS"\n'
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "SAYS": says}
    done = subprocess.run(
        ["sh", "-s"],
        input=script,
        env=environment,
        cwd="/",
        capture_output=True,
        text=True,
        timeout=30,
    )
    return done, calls.read_text()


EVIL = r"-H\nunix:///var/run/docker.sock --privileged *\n$(touch /canary)\nsha256:../../x\n"


@pytest.mark.parametrize("script", ["layers", "prune", "push", "receive", "pull"])
def test_what_an_engine_says_is_no_option_of_roots_commands(script: str, tmp_path: Path) -> None:
    image = "sha256:" + "a" * 64
    text = scripts.render(
        f"{script}.sh.j2",
        Settings(),
        image="" if script == "layers" else image,
        images=[image],
        bases=[],
        reference="debian:12",
        repository="r.example/x",
        directory="",
        digest=image,
        inputs="0" * 64,
        tag="x:1",
        probe="",
        architecture="amd64",
        authorization="e30=",
    )
    done, calls = asked(text, tmp_path, EVIL)
    for word in ("-H", "--privileged", "/canary", "bin", "../../x"):
        assert not [line for line in calls.splitlines() if word in line.split()], calls
    assert "/canary" not in calls and "../../x" not in calls
    if script in ("push", "receive"):
        assert done.returncode


def test_an_address_of_the_engine_is_taken_as_it_is(tmp_path: Path) -> None:
    """curl would make several of `[1-9]` and `{a,b}`."""
    text = scripts.render(
        "push.sh.j2",
        Settings(),
        image="x",
        repository="[fd00::1]:5000/x",
        directory="",
        architecture="amd64",
        authorization="e30=",
    )
    _, calls = asked(text, tmp_path, "0" * 64 + "\\n")
    words = calls.splitlines()
    assert "-g" in words[words.index("curl") :]
    assert f"http://engine/images/[fd00::1]:5000/x/push?tag={'0' * 64}-amd64" in words
