"""A copy of the state in a gateway that is thrown away: what the drill of a backup and the
rehearsal of an image have in common (`templates/backup/{archive,throwaway,started}.sh.j2`)."""

from __future__ import annotations

from typing import Any

from operations.base import templates
from operations.gateway.front import PASSWORD, TOKEN
from operations.images import gateway as images
from toolkit.settings.contradictions.mounts import AUTH
from toolkit.settings.exposure import Exposure

_READY = "fetch('http://127.0.0.1:%s/readyz').then(r=>process.exit(r.ok?0:1),()=>process.exit(1))"
_COUNTS = templates.DIRECTORY / "backup" / "counts.mjs"


def backups(name: str) -> str:
    """Return the directory of root's in which a deployment's backups are made; its `lock` is held
    by whoever has OpenClaw make an archive.
    """
    return f"/var/lib/{name}/backup"


def environment(exposure: Exposure) -> str:
    """Return the shell script that keeps a .env for the gateway of a copy."""
    keep = "cat"
    if exposure.profile == "proxy":
        # As compose.yml has it: this mode refuses a token.
        rename = f"sed s/^{TOKEN}=/{PASSWORD}=/"
        mode = "grep -q trusted-proxy ~/.openclaw/openclaw.json"
        keep = f"{{ if {mode}; then {rename}; else cat; fi; }}"
    return f"umask 077; [ -e ~/.openclaw/.env ] || {keep} >~/.openclaw/.env"


def counts_across_releases() -> str:
    """Return what counts a state, for one that another release has taken over.

    Jobs that OpenClaw, or whoever declares them, makes anew are not counted: each release has
    others. A release may lack the column that says so.
    """
    text = _COUNTS.read_text(encoding="utf-8")
    changed = text.replace('"cron_jobs"', '"cron_jobs where declaration_key is null"')
    return changed.replace("/no such table/", "/no such (table|column)/")


def variables(
    kind: str, workspace: bool, name: str, port: int, memory: str, pids: int
) -> dict[str, Any]:
    """Return what those templates are rendered with, beside what is the deployment's.

    + kind: what the gateway that is thrown away is called
    + workspace: whether the agents' workspaces are copied with the state
    + name, port: of the deployment
    + memory: its limit; '' where the engine holds no limits
    + pids: the limit of processes
    """
    return {
        "kind_of_copy": kind,
        "auth_inside": AUTH,
        "inside": templates.render("backup/inside.sh", workspace=workspace),
        "restored": templates.render("backup/restored.sh"),
        "counts": _COUNTS.read_text(encoding="utf-8"),
        "image": images.tag(name),
        "ready": _READY % port,
        "port": port,
        "memory": memory,
        "pids": pids,
    }
