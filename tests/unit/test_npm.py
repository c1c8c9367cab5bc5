"""npm on a network that says nothing: one error in a bounded time, and asked once for all hosts."""

from __future__ import annotations

import os
from pathlib import Path

import gevent
import pytest

from toolkit import npm, releases
from toolkit.npm import ReleaseError


@pytest.fixture
def silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An npm that notes how it was asked and then waits."""
    program = tmp_path / "npm"
    program.write_text(f'#!/bin/sh\necho "$*" >>{tmp_path}/asked\nexec sleep 600\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(releases, "_answers", {})
    return tmp_path / "asked"


def test_all_questions_together_have_a_limit(silent: Path) -> None:
    with npm.asked("openclaw", seconds=0), pytest.raises(ReleaseError, match="within 1 s"):
        npm.view("openclaw", "version")
    assert "--fetch-timeout=20000" in silent.read_text()
    assert "--fetch-retries=1" in silent.read_text()


def test_many_hosts_ask_once(silent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(npm, "VIEW_SECONDS", 1)

    def ask() -> str:
        with pytest.raises(ReleaseError) as refused:
            releases.resolve("2026.9.999")
        return str(refused.value)

    said = [one.get() for one in [gevent.spawn(ask) for _ in range(3)]]
    assert set(said) == {
        "npm view openclaw@2026.9.999 has not answered within 1 s (check the network and the npm"
        " configuration of this machine)"
    }
    assert len(silent.read_text().splitlines()) == 1
