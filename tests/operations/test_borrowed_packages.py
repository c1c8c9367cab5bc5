"""Debian 13's source on Debian 12, beside what the host's own apt sources say."""

from __future__ import annotations

import subprocess
from pathlib import Path

from operations import distributions
from operations.base import templates
from operations.engine import apt_sources

BOOKWORM = "'http://mirror.invalid/debian/dists/bookworm/InRelease' a 0"
TRIXIE = "'http://mirror.invalid/debian/dists/trixie/InRelease' b 0"
APT = """#!/bin/sh
[ "$*" = 'update --print-uris' ] || exit 9
{ [ ! -e @S ] || ! @B; } || { echo 'E: Conflicting values set for option Signed-By' >&2; exit 100; }
cat <<'END'
@U
END
"""


def run(directory: Path, uris: str, breaks: bool = False) -> tuple[int, str, dict[str, str]]:
    source, pin = directory / "openclaw-trixie.sources", directory / "openclaw-trixie"
    apt = directory / "bin" / "apt-get"
    apt.parent.mkdir()
    text = APT.replace("@S", str(source)).replace("@B", "true" if breaks else "false")
    apt.write_text(text.replace("@U", uris))
    apt.chmod(0o755)
    release = distributions.borrower("bookworm")
    assert release and release.borrowed
    told = apt_sources.borrowing(release, release.borrowed)
    told |= {"source": str(source), "pin": str(pin)}
    done = subprocess.run(
        ["sh", "-s"],
        input=templates.render("engine/borrowed.sh.j2", **told),
        env={"PATH": f"{apt.parent}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    files = {one.name: one.read_text() for one in directory.iterdir() if one.is_file()}
    return done.returncode, done.stderr, files


def test_a_host_gets_the_source_of_its_own_mirror_and_a_pin(tmp_path: Path) -> None:
    code, _, files = run(tmp_path, BOOKWORM)
    assert code == 0
    assert "URIs: http://mirror.invalid/debian\n" in files["openclaw-trixie.sources"]
    assert "Package: *\nPin: release n=trixie\nPin-Priority: -10" in files["openclaw-trixie"]
    assert "Package: docker-compose docker-buildx" in files["openclaw-trixie"]


def test_a_host_with_debian_13_of_its_own_keeps_source_and_pins(tmp_path: Path) -> None:
    code, _, files = run(tmp_path, f"{BOOKWORM}\n{TRIXIE}")
    assert code == 0 and list(files) == ["openclaw-trixie"]
    assert "Package: *" not in files["openclaw-trixie"]
    assert "Package: docker-compose docker-buildx" in files["openclaw-trixie"]


def test_what_apt_does_not_take_is_gone_again(tmp_path: Path) -> None:
    code, said, files = run(tmp_path, BOOKWORM, breaks=True)
    assert (code, files) == (1, {})
    assert "Conflicting values set for option Signed-By" in said
