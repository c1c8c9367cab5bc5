"""What the engine's probe asks of a host: programs, rather than their files. Stand-ins answer."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
from pathlib import Path
from shlex import quote

import pytest

from operations.base import templates
from operations.engine.state import Engine
from toolkit.settings import Settings

LOGINS = (
    '{"auths": {}, "credsStore": "none-here",\n "credHelpers": {"gcr.io": "gc", "a.b": "there"}}'
)
SITE = "https://download.docker.com/linux"


def asked(
    tmp_path: Path,
    programs: dict[str, str],
    logins: str = "{}",
    engine: str = "",
    root: Path | None = None,
) -> Engine:
    """Return what is found with these shell scripts as programs, where an engine says this."""
    directory = tmp_path / "bin"
    directory.mkdir(exist_ok=True)
    for name, text in {"docker-credential-there": "", **programs}.items():
        (directory / name).write_text(f"#!/bin/sh\n{text}\n")
        (directory / name).chmod(0o755)
    (tmp_path / "config.json").write_text(logins)
    wanted = Settings.model_validate({"engine": {"source": "official", "repository_url": SITE}})
    # As a snapshot has it.
    kept = f"engine_seconds=60\n{templates.render('host/bounded.sh.j2')}"
    kept += f"{templates.render('host/kept.sh.j2')}\nof() {{ echo {quote(engine)}; }}\n"
    script: str = Engine.script(wanted)
    if root:
        script = script.replace(" /usr/lib", f" {root}/usr/lib")
    done = subprocess.run(
        ["sh", "-c", kept + script],
        env={"PATH": f"{directory}:{os.environ['PATH']}", "DOCKER_CONFIG": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    return Engine.parse(done.stdout.splitlines())


@pytest.mark.parametrize("snapshotter", ["", "overlayfs"])
def test_containerd_is_asked_where_it_keeps_images(tmp_path: Path, snapshotter: str) -> None:
    address = tmp_path / "containerd.sock"
    images = tmp_path / "images"
    images.mkdir()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(address))
        said = ("server=29.0", "data-root=/proc", f"snapshotter={snapshotter}")
        engine = "\n".join(f"engine {one}" for one in (f"containerd={address}", *said))
        ctr = f'[ "$2" = {address} ] && echo "               root      {images}"'
        found = asked(tmp_path, {"docker": "", "ctr": ctr}, engine=engine)
    assert found.snapshotter == snapshotter
    assert found.stores["docker"].mount == "/proc"
    df = subprocess.run(["df", "-P", images], capture_output=True, text=True, check=True).stdout
    assert found.stores["containerd"].mount == df.split()[-1] or not snapshotter


@pytest.mark.parametrize(
    ("packages", "own", "found"),
    [
        ("ii  docker-compose 2.26.1-4\nii  docker-buildx 1:0.13.1+ds1-3", False, "2.26.1 0.13.1"),
        ("ii  docker-compose-plugin 2.40.3-1~debian.12~bookworm", False, "2.40.3 9.9.9"),
        ("rc  docker-compose 2.26.1-4", False, "9.9.9 9.9.9"),
        ("ii  docker-compose 1.29.2-3", False, "9.9.9 9.9.9"),
        ("ii  docker-compose 2.26.1-4", True, "9.9.9 9.9.9"),
    ],
)
def test_plugins_have_the_versions_of_their_packages_or_say_their_own(
    tmp_path: Path, packages: str, own: bool, found: str
) -> None:
    plugins = tmp_path / ("cli-plugins" if own else "usr/libexec/docker/cli-plugins")
    plugins.mkdir(parents=True)
    for name in ("docker-compose", "docker-buildx"):
        says = """{"Vendor": "Docker Inc.", "Version": "v9.9.9"}"""
        (plugins / name).write_text(
            f"#!/bin/sh\n[ $1 = docker-cli-plugin-metadata ] && echo '{says}'"
        )
        (plugins / name).chmod(0o755)
    there = asked(tmp_path, {"docker": "", "dpkg-query": f"echo '{packages}'"}, root=tmp_path)
    assert f"{there.compose} {there.buildx}" == found


def test_helpers_that_are_there_are_none_to_name(tmp_path: Path) -> None:
    found = asked(tmp_path, {"docker": ""}, LOGINS)
    assert [one.strip() for one in found.helpers] == ["none-here", "gc gcr.io"]
    for nothing in ("no json", '{"credsStore": "", "credHelpers": {}}'):
        assert asked(tmp_path, {"docker": ""}, nothing).helpers == ()


@pytest.mark.parametrize(
    ("uris", "other"),
    [
        (f"'{SITE}/debian/dists/bookworm/InRelease' x 0", True),
        ("'https://deb.example/debian/dists/bookworm/InRelease' x 0", False),
    ],
)
def test_apt_says_which_sources_are_in_use(tmp_path: Path, uris: str, other: bool) -> None:
    found = asked(tmp_path, {"docker": "", "apt-get": f'echo "{uris}"'})
    assert found.other_source is other and not found.foreign_source


@pytest.mark.parametrize("then", ['{"debug": true}', '{"debug": true}\n{"later": 1}', None])
def test_daemon_json_is_replaced_only_as_it_was_read(tmp_path: Path, then: str | None) -> None:
    read = '{"debug": true}'
    file = tmp_path / "daemon.json"
    if then is not None:
        file.write_text(then)
    script = templates.render(
        "engine/daemon.sh.j2",
        content='{"debug": false}\n',
        was=hashlib.sha256(read.encode()).hexdigest(),
        secret=False,
        drop_in_path=str(tmp_path / "drop-in"),
        drop_in="",
    ).replace("/etc/docker", str(tmp_path))
    done = subprocess.run(["sh"], input=script, capture_output=True, text=True, check=False)
    if then == read:
        assert file.read_text() == '{"debug": false}\n', done.stderr
        return
    assert done.returncode and "is not what was read of it" in done.stderr
    assert (file.read_text() if file.exists() else None) == then
    assert {one.name for one in tmp_path.iterdir()} <= {"daemon.json"}
