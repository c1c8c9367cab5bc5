"""The script that asks OpenClaw's judges."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from operations import verification
from operations.base import templates
from operations.base.quoting import Script

FOUND = (
    '{"findings": [{"severity": "warn", "checkId": "%s"}], "summary": {"critical": 0, "warn": 1}}'
)
GOOD = '{"findings": [], "summary": {"critical": 0, "warn": 0}}'
GATEWAY = """
gateway_runs() { :; }
gateway_exec() {
  case "$*" in *'security audit'*) ;; *)
    cat >/dev/null; echo '{"valid": true, "findings": []}'; return ;; esac
  echo asked >>asked
  if [ "$(wc -l <asked)" = 1 ]; then cat first; else cat then; fi
}
curl() { echo 200; }
"""


@pytest.mark.parametrize(
    ("first", "then", "outcome", "asked"),
    [
        (FOUND % "gateway.probe_failed", GOOD, "ok", 2),
        (FOUND % "gateway.probe_failed", FOUND % "gateway.probe_failed", "failed", 2),
        (FOUND % "other", GOOD, "failed", 1),
    ],
)
def test_an_audit_whose_probe_had_no_time_is_asked_again(
    tmp_path: Path, first: str, then: str, outcome: str, asked: int
) -> None:
    (tmp_path / "first").write_text(first)
    (tmp_path / "then").write_text(then)
    script = templates.render(
        "openclaw/verify.sh.j2",
        docker=Script(GATEWAY),
        url="http://127.0.0.1:1",
        port=1,
        address="127.0.0.1",
        only_address=False,
        neighbour=Script("neighbour_seen() { echo ok; }"),
        judges=True,
    )
    done = subprocess.run(
        ["sh", "-s"], input=script, cwd=tmp_path, check=True, capture_output=True, text=True
    )
    found = {check.name: check.outcome for check in verification.parse(done.stdout)}
    assert found["audit"] == outcome and found["config_validate"] == found["doctor"] == "ok"
    assert len((tmp_path / "asked").read_text().splitlines()) == asked
