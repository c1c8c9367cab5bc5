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
ALL = (
    'config_validate {"valid": true}\n'
    f"audit {GOOD}\n"
    'doctor {"findings": [{"severity": "error", "message": "m"}]}\n'
)
"""What they say who are asked in one process."""
GATEWAY = """
gateway_runs() { :; }
gateway_exec() {
  case "$*" in
    *input-type=module*) cat >/dev/null; cat together; return ;;
    *'security audit'*) ;;
    *) cat >/dev/null; echo "$*" >>others; echo '{"valid": true, "findings": []}'; return ;;
  esac
  echo asked >>asked
  if [ "$(wc -l <asked)" = 1 ]; then cat first; else cat then; fi
}
curl() { echo 200; }
"""


def judged(at: Path, together: str, first: str = "", then: str = "") -> dict[str, str]:
    """Return the outcomes of a gateway whose judges say these in one process, and one by one."""
    for name, said in {"together": together, "first": first, "then": then}.items():
        (at / name).write_text(said)
    (at / "asked").touch()
    script = templates.render(
        "openclaw/verify.sh.j2",
        docker=Script(GATEWAY),
        url="http://127.0.0.1:1",
        port=1,
        address="127.0.0.1",
        only_address=False,
        neighbour=Script("neighbour_seen() { echo ok; }"),
        judges=True,
        seconds=100,
        judges_seconds=280,
        together=Script(""),
    )
    done = subprocess.run(
        ["sh", "-s"], input=script, cwd=at, check=True, capture_output=True, text=True
    )
    return {check.name: check.outcome for check in verification.parse(done.stdout)}


@pytest.mark.parametrize(
    ("first", "then", "outcome", "asked"),
    [
        (FOUND % "gateway.probe_failed", GOOD, "ok", 2),
        (FOUND % "gateway.probe_failed", FOUND % "gateway.probe_failed", "failed", 2),
        (FOUND % "other", GOOD, "failed", 1),
    ],
)
@pytest.mark.parametrize("one_by_one", [True, False])
def test_an_audit_whose_probe_had_no_time_is_asked_again(
    tmp_path: Path, first: str, then: str, outcome: str, asked: int, one_by_one: bool
) -> None:
    """A release may not let them be asked in one process: then each is asked by itself."""
    if one_by_one:
        found = judged(tmp_path, "", first, then)
    else:
        found = judged(tmp_path, ALL.replace(GOOD, first).replace("error", "info"), then)
    assert found["audit"] == outcome and found["config_validate"] == found["doctor"] == "ok"
    assert len((tmp_path / "asked").read_text().splitlines()) == asked - (not one_by_one)


def test_judges_in_one_process_are_not_asked_one_by_one(tmp_path: Path) -> None:
    found = judged(tmp_path, ALL)
    assert (found["config_validate"], found["audit"], found["doctor"]) == ("ok", "ok", "failed")
    assert not (tmp_path / "asked").read_text()
    assert "openclaw" not in (tmp_path / "others").read_text()


def test_what_one_judge_says_is_no_answer_of_another_check(tmp_path: Path) -> None:
    found = judged(tmp_path, f"{ALL}doctor closed failed really\ndoctor readyz failed\n")
    assert found["closed"] == found["readyz"] == "ok"
    assert found["doctor"] == "unknown"
