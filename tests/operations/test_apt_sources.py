"""The apt sources of a host, as its builds get them: by apt's own word, and as they reach them."""

from __future__ import annotations

import gzip
import subprocess
from pathlib import Path
from typing import Any

import pytest
from pyinfra.context import ctx_host

from operations.base import snapshot, templates
from operations.images import planning, preflight
from tests.operations.hosts import FakeHost
from toolkit.settings import Settings

MIRRORS = """# what a cloud's image has, and more
file:/srv/local/debian/\tpriority:1 type:index
http://partial.example/debian/\tpriority:2 arch:amd64 type:deb
http://later.example/debian/\tpriority:7
http://localhost:3142/debian\tpriority:1
http://first.example/debian/\tpriority:5 lang:de
"""
HELPER = """#!/bin/sh
while [ $# -gt 0 ]; do
  case $1 in
    cat-file) case $2 in *.gz) exec gzip -dc "$2" ;; *) exec cat "$2" ;; esac ;;
    download-file)
      [ "$2" != http://lists.example/mirrors.txt ] || exec cp @/mirrors.list "$3"
      case $2 in http://there.example/*/dists/*/InRelease) echo Origin >"$3"; exit ;; esac
      echo "E: Failed to fetch $2  404  Not Found"
      exit 100 ;;
  esac
  shift
done
"""


def run(
    folder: Path,
    rows: list[str],
    script: str = "build",
    distribution: str = "debian",
    mirrors: tuple[str, ...] = (),
) -> subprocess.CompletedProcess[str]:
    """Read the sources of a Debian 12, or another one, on which apt names `rows`."""
    programs = folder / "bin"
    programs.mkdir()
    (folder / "os-release").write_text(f"ID={distribution}\nVERSION_CODENAME=bookworm\n")
    (folder / "mirrors.list").write_text(MIRRORS)
    (folder / "mirrors.list.gz").write_bytes(gzip.compress(MIRRORS.encode()))
    (folder / "rows").write_text("".join(f"{row}\n" for row in rows).replace("@/", f"{folder}/"))
    for name, text in {
        "apt-get": f"#!/bin/sh\ncat {folder}/rows\n",
        "find": "#!/bin/sh\necho lists\n",
        "apt-helper": HELPER.replace("@", str(folder)),
    }.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    words = " ".join(mirrors)
    text = templates.render("packages/manager.sh") + f"debian_sources bookworm {words}\n"
    if script == "preflight":
        text = templates.render("images/sources.sh.j2", suite="bookworm", mirrors=mirrors)
    text = text.replace("/etc/os-release", str(folder / "os-release"))
    text = text.replace("/usr/lib/apt/apt-helper", str(programs / "apt-helper"))
    return subprocess.run(
        ["sh", "-s"],
        input=text,
        env={"PATH": f"{programs}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )


def row(uri: str, release: str = "bookworm", origin: str = "Debian") -> str:
    return f"{origin}|main|{release}|{uri}"


@pytest.mark.parametrize(
    ("uri", "address"),
    [
        ("http://mirror.example/debian/", "http://mirror.example/debian/"),
        ("mirror+file:@/mirrors.list/", "http://first.example/debian/"),
        ("mirror+file://@/mirrors.list", "http://first.example/debian/"),
        ("mirror+copy:@/mirrors.list.gz/", "http://first.example/debian/"),
        ("mirror+http://lists.example/mirrors.txt/", "http://first.example/debian/"),
        ("mirror://lists.example/mirrors.txt", "http://first.example/debian/"),
    ],
)
def test_a_build_gets_an_address_that_it_reaches(tmp_path: Path, uri: str, address: str) -> None:
    done = run(tmp_path, [row(uri), row(uri, "bookworm-updates"), row(uri, "stable", "Google")])
    lines = [f"deb {address} {suite} main" for suite in ("bookworm", "bookworm-updates")]
    assert done.stdout.splitlines() == lines and not done.returncode, done.stderr


@pytest.mark.parametrize(
    "uri",
    [
        *("file:/srv/debian/", "copy:/srv/debian/", "cdrom:[Debian 12]/", "tor+http://a.onion/d/"),
        *("http://localhost:3142/debian/", "http://127.0.0.1/debian/", "s3://bucket/debian/"),
        *("mirror+file:/nonexistent/list/", "mirror+http://gone.example/list/"),
    ],
)
@pytest.mark.parametrize("script", ["build", "preflight"])
def test_what_only_the_host_has_is_one_clear_error(tmp_path: Path, uri: str, script: str) -> None:
    # The sources of security alone make no Debian.
    done = run(tmp_path, [row(uri), row("http://a.example/d/", "bookworm-security")], script)
    said = done.stdout if script == "preflight" else done.stderr
    assert said == f"no container reaches this host's apt sources of Debian: {uri}\n"
    assert done.returncode == (1 if script == "build" else 0)


def test_what_only_the_host_has_is_left_out_beside_another(tmp_path: Path) -> None:
    done = run(tmp_path, [row("cdrom:[Debian 12]/"), row("http://a.example/d/")])
    assert done.stdout == "deb http://a.example/d/ bookworm main\n" and not done.returncode


NAMED = ("http://there.example/debian/", "http://there.example/debian-security")


@pytest.mark.parametrize("distribution", ["debian", "ubuntu"])
def test_what_the_settings_name_is_taken_instead(tmp_path: Path, distribution: str) -> None:
    rows = [row("http://own.example/debian/")]
    done = run(tmp_path, rows, distribution=distribution, mirrors=NAMED)
    key = "[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]"
    assert done.stdout.splitlines() == [
        f"deb {key} http://there.example/debian/ bookworm main",
        f"deb {key} http://there.example/debian/ bookworm-updates main",
        f"deb {key} http://there.example/debian-security/ bookworm-security main",
    ]


@pytest.mark.parametrize(
    ("mirrors", "said"),
    [
        ((), "the host is no Debian, and has no source of the packages of a Debian that is made"),
        (NAMED, ""),
        (("http://gone.example/debian",), "Debian cannot be had from http://gone.example/debian: "),
    ],
)
def test_an_ubuntu_is_told_before_anything_is_built(
    tmp_path: Path, mirrors: tuple[str, ...], said: str
) -> None:
    done = run(tmp_path, [row("http://a.example/ubuntu/")], "preflight", "ubuntu", mirrors)
    assert done.stdout.startswith(said) and bool(done.stdout) is bool(said)


def test_the_preflight_makes_no_lists_and_needs_none(tmp_path: Path) -> None:
    done = run(tmp_path, [row("mirror+file:@/mirrors.list/", origin="")], "preflight")
    assert done.stdout == ""


def test_a_login_in_an_address_is_not_said(tmp_path: Path) -> None:
    done = run(tmp_path, [row("tor+http://me:hunter2@a.onion/d/")])
    assert "hunter2" not in done.stderr and "//a.onion/d/" in done.stderr


@pytest.mark.parametrize("bootstrapped", [True, False])
def test_it_is_a_problem_where_the_base_is_made_on_the_host(
    monkeypatch: pytest.MonkeyPatch, bootstrapped: bool
) -> None:
    said = "no container reaches this host's apt sources of Debian: file:/srv/debian/"
    wanted = Settings.model_validate({"base_images": "bootstrap" if bootstrapped else "registry"})
    there: dict[str, Any] = {"images": "", "docker": "", "access": "", "security": "", "files": ""}
    there["system"] = "id=debian\nrelease=12"
    monkeypatch.setattr(snapshot, "settings_for", lambda host: wanted)
    monkeypatch.setattr(snapshot, "read_quietly", lambda host, script: said)
    with ctx_host.use(FakeHost(there)):
        problems = list(preflight.source_problems(wanted))
        assert bool(planning.unreached_sources(wanted)) is bootstrapped
    assert [problem.what for problem in problems] == ([said] if bootstrapped else [])
    with ctx_host.use(FakeHost({**there, "system": "id=alpine\nrelease=3.20"})):
        assert list(preflight.source_problems(wanted)) == [], "the distribution is the problem"
