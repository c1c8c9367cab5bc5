"""An agent's turn in a sandbox, as `./claw up` and `./claw verify` take it."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import Deployment, until

pytestmark = pytest.mark.engine
GROUP = "sandbox of main"


def by_name(checks: list[dict[str, str]]) -> dict[str, dict[str, str]]:
    return {check["name"]: check for check in checks if check["group"] == GROUP}


def own(one: Deployment) -> str:
    """What must be the same before and after: configuration, sessions, workspaces, sandboxes."""
    state = f"/var/lib/{one.name}/config"
    return one.sh(
        f"cd {state} && sha256sum openclaw.json && find workspace sandboxes agents -type f "
        "! -name '*.sqlite*' -printf '%p %s %T@\\n' 2>/dev/null | sort; "
        f"ls -A /var/lib/{one.name}/workspace"
    )


def leftovers(one: Deployment) -> str:
    return one.sh(
        f"ls -d /var/lib/{one.name}/proof-* 2>/dev/null; "
        f"docker ps -aq --filter name={one.name}.proof",
        None,
    ).strip()


def test_the_first_run_ends_with_a_turn_in_a_sandbox(sandboxed: Deployment):
    assert sandboxed.first
    checks = sandboxed.first.json["hosts"]["@local"]["checks"]
    assert {check["outcome"] for check in checks} == {"ok"}, checks
    found = by_name(checks)
    assert found["exec"]["found"] == "with this run's nonce"
    assert found["write to /"]["found"] == "EROFS"
    assert found["connect to the outside"]["found"] == "ENETUNREACH"
    assert found["engine's socket inside"]["found"] == "none"
    assert found["system call mount"]["found"] == "EPERM"
    assert leftovers(sandboxed) == ""


def test_a_second_run_changes_nothing_and_tells_when_it_was_proved(sandboxed: Deployment):
    said = sandboxed.claw("up").stdout
    assert "nothing to change" in said
    assert "proved by an agent's turn on" in said
    assert sandboxed.claw("up", "--dry").returncode == 0


@pytest.mark.whole
def test_verify_compares_each_knob_and_touches_nothing(sandboxed: Deployment):
    before = own(sandboxed)
    result = sandboxed.claw("verify", "--json")
    found = by_name(result.json["hosts"]["@local"]["checks"])
    pairs = {name: (check["configured"], check["found"]) for name, check in found.items()}
    expected = {
        "user": sandboxed.owner,
        "read-only root": "yes",
        "capabilities dropped": "ALL",
        "network": "none",
        "pids": "256",
        "memory": "1024 MiB",
        "memory and swap": "1024 MiB",
        "cpus": "1",
        "no-new-privileges": "yes",
        "engine's socket": "none",
        "pids inside": "256",
        "memory inside (MiB)": "1024",
    }
    assert {name: pairs[name] for name in expected} == {
        name: (value, value) for name, value in expected.items()
    }
    assert pairs["seccomp"] == ("seccomp-tools.json", "inlined")
    names = {check["name"] for check in result.json["hosts"]["@local"]["checks"]}
    assert {"config_validate", "audit", "doctor", "token", "closed"} <= names
    assert leftovers(sandboxed) == ""
    assert sandboxed.sandboxes() == []
    assert own(sandboxed) == before


@pytest.mark.long
def test_a_sandbox_without_python_fails_the_run_and_leaves_the_gateway(sandboxed: Deployment):
    """The image is replaced under its tag, which OpenClaw itself does not see."""
    tag = f"{sandboxed.name}-sandbox:bookworm-slim"
    sandboxed.sh(f"docker tag {tag} {tag}-kept && docker tag openclaw-base:bookworm {tag}")
    try:
        result = sandboxed.claw("verify", expect=1)
        assert "python3: not found" in result.output
        assert "failed" in result.stdout
        assert sandboxed.http() == 200
    finally:
        sandboxed.sh(f"docker tag {tag}-kept {tag} && docker rmi {tag}-kept")
    assert sandboxed.claw("verify").returncode == 0


@pytest.mark.long
def test_up_proves_anew_when_the_host_has_no_proof(sandboxed: Deployment):
    """As after a proof that failed: there is nothing to change, and yet something to look at."""
    record = f"/var/lib/{sandboxed.name}/proof.json"
    sandboxed.sh(f"rm {record}")
    assert sandboxed.claw("up", "--dry").returncode == 0
    host = sandboxed.claw("up", "--json").json["hosts"]["@local"]
    assert host["changed"] == []
    assert by_name(host["checks"])["exec"]["outcome"] == "ok"
    assert "digest" in sandboxed.sh(f"cat {record}")


@pytest.mark.long
def test_what_a_killed_proof_left_is_removed_by_the_next(sandboxed: Deployment):
    process = sandboxed.start("verify")
    until(lambda: sandboxed.sandboxes(), 300, "the proof's sandbox")
    process.kill()
    for pid in holders(f"/var/lib/{sandboxed.name}/proof.lock"):
        os.kill(pid, signal.SIGKILL)
    assert leftovers(sandboxed) and sandboxed.sandboxes()
    assert sandboxed.claw("verify").returncode == 0
    assert leftovers(sandboxed) == ""
    assert sandboxed.sandboxes() == []


def holders(path: str) -> list[int]:
    """The processes that have a file open."""
    found = []
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if link.readlink() == Path(path):
                found.append(int(link.parts[2]))
        except OSError:
            continue
    return sorted(set(found))


@pytest.mark.long
@pytest.mark.parametrize(
    ("access", "expected"),
    [
        ("ro", {"write to the workspace": "EROFS", "write to /agent": "EROFS"}),
        ("rw", {"write to the workspace": "done"}),
    ],
)
def test_the_workspace_is_as_writable_as_configured(
    sandboxed: Deployment, access: str, expected: dict[str, str]
):
    changed: dict[str, Any] = {"sandbox": {"workspace_access": access}}
    try:
        result = sandboxed.claw("up", "--json", settings=changed)
        found = by_name(result.json["hosts"]["@local"]["checks"])
        assert {name: found[name]["found"] for name in expected} == expected
    finally:
        sandboxed.claw("up")


@pytest.mark.long
def test_a_page_is_opened_in_the_browsers_sandbox_and_its_title_read(sandboxed: Deployment):
    changed: dict[str, Any] = {"sandbox": {"browser": {"enabled": True, "headless": True}}}
    try:
        result = sandboxed.claw("up", "--json", settings=changed)
        checks = result.json["hosts"]["@local"]["checks"]
        found = {one["name"]: one for one in checks if one["group"] == "browser of main"}
        assert found["page"]["found"].startswith("openclaw-proof-")
        assert found["network"]["found"] == f"{sandboxed.name}-sandbox-browser"
        assert {one["outcome"] for one in checks} == {"ok"}
        assert "nothing to change" in sandboxed.claw("up", settings=changed).stdout
    finally:
        sandboxed.claw("up")
