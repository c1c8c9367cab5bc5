"""What a sandbox says of itself from inside, beside what its policy promises."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from operations.base.check import Check
from operations.sandbox import comparison

MARK = "openclaw-proof "
READ_ONLY, UNREACHABLE = "EROFS", "ENETUNREACH"
REFUSED = ("EPERM", "EACCES", "ENOSYS")
TITLE = "openclaw-proof"


def parse(answer: str, nonce: str) -> dict[str, Any] | None:
    """Return what the sandbox said in a tool's result; None if the nonce is not in it."""
    for line in answer.splitlines():
        _, mark, rest = line.partition(MARK)
        if mark:
            try:
                found = json.loads(rest)
            except ValueError:
                continue
            if found.get("nonce") == nonce:
                return dict(found)
    return None


def checks(
    taken: Mapping[str, Any], sandbox: Mapping[str, Any], nonce: str, group: str
) -> Iterable[Check]:
    """Return the checks of what a turn's `exec` answered."""
    if "exec" not in taken["results"]:
        yield Check("exec", "ok", "the policy gives this agent no exec", group, "", "not offered")
        return
    answer = taken["results"].get("exec", "")
    found = parse(answer, nonce)
    if found is None:
        said = answer.strip()[-600:] or "nothing"
        yield Check("exec", "failed", f"the answer did not come back; it was: {said}", group)
        return
    yield Check("exec", "ok", "", group, "its answer comes back", "with this run's nonce")
    for name, configured, there, right in _promises(sandbox, found):
        outcome = "ok" if right else "failed"
        detail = "" if right else f"promised {configured}, found {there}"
        yield Check(name, outcome, detail, group, configured, there)  # type: ignore[arg-type]
    yield from _limits(sandbox, found, group)


def browser_checks(
    taken: Mapping[str, Any], nonce: str, group: str, container: bool
) -> Iterable[Check]:
    """Return the check of the page that the agent opened."""
    if "open" not in taken["results"]:
        yield Check("page", "failed", "the policy gives this agent no browser tool", group)
        return
    title = f"{TITLE}-{nonce}"
    answers = [taken["results"].get(name, "") for name in ("title", "tabs")]
    if all(title in answer for answer in answers):
        yield Check("page", "ok", "", group, "opened through CDP, its title read", title)
        return
    said = " ".join(taken["results"]["open"].rpartition("---")[2].split())[:600]
    what = "its title did not come back" if container else "no browser was started"
    yield Check("page", "failed", f"{what}; the tool said: {said}", group)


Promise = tuple[str, str, str, bool]


def _promises(sandbox: Mapping[str, Any], found: Mapping[str, Any]) -> Iterable[Promise]:
    wanted = {**comparison.DEFAULTS, **(sandbox.get("docker") or {})}
    yield _equal("user inside", wanted["user"], found["user"])
    if "ALL" in wanted["capDrop"]:
        yield _equal("capabilities inside", "0000000000000000", found["capabilities"])
    yield _equal("no-new-privileges inside", "1", found["no_new_privileges"])
    yield _equal("system call filter inside", "2", found["seccomp"])
    if wanted["readOnlyRoot"]:
        yield _equal("write to /", READ_ONLY, found["root_write"])
        yield _equal("write to /etc", READ_ONLY, found["etc_write"])
    workspace = sandbox.get("workspaceAccess", "none")
    writable = READ_ONLY if workspace == "ro" else "done"
    yield _equal("working directory", wanted["workdir"], found["workdir"])
    yield _equal("write to the workspace", writable, found["workspace_write"])
    if workspace == "ro":
        yield _equal("write to /agent", READ_ONLY, found["agent_write"])
    if wanted["network"] == "none":
        yield _equal("network interfaces", "lo alone", " ".join(found["interfaces"]) or "lo alone")
        if found["connect"] != "not tried":
            yield _equal("connect to the outside", UNREACHABLE, found["connect"])
    yield _equal("engine's socket inside", "none", " ".join(found["sockets"]) or "none")
    for call in ("mount", "unshare"):
        answer = found[call]
        yield f"system call {call}", "refused", answer, answer in REFUSED


def _limits(sandbox: Mapping[str, Any], found: Mapping[str, Any], group: str) -> Iterable[Check]:
    """Compare limits with the kernel's; an engine without root may not be able to set them."""
    wanted = sandbox.get("docker") or {}
    limits: list[tuple[str, float | None, float | None]] = [
        (
            "memory inside (MiB)",
            _mebi(comparison.size(wanted.get("memory"))),
            _mebi(_number(found["memory"])),
        ),
        ("pids inside", wanted.get("pidsLimit"), _number(found["pids"])),
        ("cpus inside", wanted.get("cpus"), _share(found["cpu"])),
    ]
    for name, limit, there in limits:
        if limit is None:
            continue
        right = there is not None and abs(there - limit) <= limit * 0.01
        shown = "no limit that can be seen" if there is None else f"{there:g}"
        detail = "" if right else f"configured {limit:g}, the kernel has {shown}"
        yield Check(name, "ok" if right else "unknown", detail, group, f"{limit:g}", shown)


def _mebi(value: float | None) -> float | None:
    return None if value is None else value / (1 << 20)


def _equal(name: str, promised: str, found: str) -> Promise:
    return name, promised, found, promised == found


def _number(words: list[str]) -> float | None:
    return float(words[0]) if words and words[0].isdigit() and int(words[0]) < 1 << 60 else None


def _share(words: list[str]) -> float | None:
    if len(words) != 2 or not words[0].isdigit():
        return None
    return int(words[0]) / int(words[1])
