"""What one host says while a run is planned is that host's trouble."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from commandline.results import HostResult, RunResult
from commandline.run import planning
from commandline.run.planning import Planning


@pytest.mark.parametrize(
    "error",
    [AttributeError("'str' object has no attribute 'get'"), KeyError("agents"), RecursionError()],
)
def test_an_agent_s_file_of_which_the_look_fails_is_its_host_s_failure(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def due(settings: Any) -> bool:
        if settings == "hostile":
            raise error
        return True

    left_out: list[str] = []
    run: Any = Planning.__new__(Planning)
    run.session = SimpleNamespace(leave_out=lambda host: left_out.append(host.name))
    run.result = RunResult(hosts={"hostile": HostResult(), "other": HostResult()})
    monkeypatch.setattr(planning, "settings_for", lambda host: host.name)
    monkeypatch.setattr(planning.verification, "due", due)
    hostile, other = (SimpleNamespace(name=name) for name in ("hostile", "other"))
    assert not run.unverified(hostile) and run.unverified(other)
    assert left_out == ["hostile"]
    assert "cannot be looked at" in (run.result.hosts["hostile"].failed or "")
    assert run.result.hosts["other"].failed is None
