"""The engine's build cache can know a layer that it has no more: the image is built without it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from operations.images import scripts
from toolkit.settings import Settings

DOCKER = r"""#!/bin/sh
case "$*" in *--no-cache*) cache=without ;; *) cache=with ;; esac
echo "$cache" >>{there}/builds
echo '#5 [stage-0 1/1] RUN true'
! grep -qx "$cache" {there}/fails || {{ cat {there}/reason; exit 1; }}
"""


@pytest.mark.parametrize(
    ("reason", "fails", "code", "builds"),
    [
        ("#10 ERROR: layer does not exist", "with", 0, "with without"),
        ("#10 ERROR: layer does not exist", "with\nwithout", 1, "with without"),
        ("E: Unable to locate package nothing", "with", 1, "with"),
        ("", "", 0, "with"),
    ],
)
def test_a_lost_layer_is_built_anew(
    reason: str, fails: str, code: int, builds: str, tmp_path: Path
) -> None:
    (tmp_path / "reason").write_text(f"{reason}\n")
    (tmp_path / "fails").write_text(f"{fails}\n")
    (tmp_path / "docker").write_text(DOCKER.format(there=tmp_path))
    (tmp_path / "docker").chmod(0o755)
    script = scripts.render(
        "build.sh.j2",
        Settings(),
        label="the image",
        context=str(tmp_path),
        log=str(tmp_path / "log"),
        tag="openclaw:local",
        probe=None,
        labels={},
        arguments={},
        secrets={},
        trust=False,
        sources=None,
        mirrors=(),
        packages_setting="gateway.packages",
        prefix="",
    )
    done = subprocess.run(
        ["sh", "-s"],
        input=script,
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == code, done.stderr
    assert (tmp_path / "builds").read_text().split() == builds.split()
    assert ("has lost a layer" in done.stderr) == (len(builds.split()) > 1)
    assert ("the whole log" in done.stderr) == bool(code)
