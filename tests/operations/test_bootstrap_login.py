"""What a mirror's login can be read from while the base image is made, mmdebstrap being played."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from operations.images import identity, scripts
from toolkit.settings import Settings

# Writes its tree as mmdebstrap does, for all to read, and says who can read what of it.
MMDEBSTRAP = """#!/bin/sh
umask 022
tree=$TMPDIR/mmdebstrap.tree
mkdir -p "$tree/etc/apt/sources.list.d"
for last; do :; done
cp "$last" "$tree/etc/apt/sources.list.d/0000sources.list"
chmod 644 "$tree"/etc/apt/sources.list.d/*
for argument; do case $argument in --setup-hook=*) sh -c "${argument#*=}" exec "$tree" ;; esac; done
for file in "$tree"/etc/apt/auth.conf "$tree"/etc/apt/sources.list.d/*; do
  setpriv --reuid 1000 --regid 1000 --clear-groups cat "$file" >>"$SEEN" 2>/dev/null
done
stat -c '%a %n' "$TMPDIR" "$tree"/etc/apt/auth.conf >>"$SEEN.modes"
: >"$TMPDIR/base.tar"
"""
APT_GET = """#!/bin/sh
echo "Debian|main|$(. /etc/os-release; echo "$VERSION_CODENAME")|$MIRROR"
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="plays another user")
@pytest.mark.parametrize(
    ("mirror", "mode"),
    [("http://mirror.example/debian/", "711"), ("http://me:hunter2@mirror.example/debian/", "700")],
)
def test_nobody_reads_a_mirrors_login(tmp_path: Path, mirror: str, mode: str) -> None:
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents[:-2]:
        parent.chmod(parent.stat().st_mode | stat.S_IXOTH)
    programs = tmp_path / "bin"
    programs.mkdir()
    quiet = "#!/bin/sh\nexit 0\n"
    for name, text in {
        "mmdebstrap": MMDEBSTRAP,
        "apt-get": APT_GET,
        **dict.fromkeys(("apt-config", "docker"), quiet),
    }.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    (tmp_path / "auth.conf").write_text("machine mirror.example login me password hunter2\n")
    script = scripts.render(
        "bootstrap.sh.j2",
        Settings(),
        directory=str(tmp_path),
        suite=identity.SUITE,
        mirrors=(),
        packages=identity.BASE_PACKAGES,
        dpkg_options=[],
        tag=identity.BOOTSTRAPPED,
        labels={},
        trust=False,
    ).replace("cat /etc/apt/auth.conf ", f"cat {tmp_path}/auth.conf ")
    seen = tmp_path / "seen"
    done = subprocess.run(
        ["sh", "-s"],
        input=script,
        text=True,
        check=True,
        capture_output=True,
        env={
            "PATH": f"{programs}:{os.environ['PATH']}",
            "MIRROR": mirror,
            "SEEN": str(seen),
        },
    )
    modes = (tmp_path / "seen.modes").read_text()
    assert modes.startswith(f"{mode} "), (modes, done.stderr)
    assert "\n600 " in modes
    assert "hunter2" not in seen.read_text()
