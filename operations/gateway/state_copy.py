"""A copy of the state in a gateway that is thrown away: what the drill of a backup and the
rehearsal of an image have in common (`templates/backup/{archive,throwaway,started}.sh.j2`)."""

from __future__ import annotations

from typing import Any

from operations.base import templates
from operations.engine_access import EngineWay
from operations.images import gateway as images
from toolkit.settings import Settings
from toolkit.settings.contradictions.mounts import AUTH

_READY = "fetch('http://127.0.0.1:%s/readyz').then(r=>process.exit(r.ok?0:1),()=>process.exit(1))"


def variables(settings: Settings, kind: str, workspace: bool = True) -> dict[str, Any]:
    """Return what those templates are rendered with.

    + kind: what the gateway that is thrown away is called
    + workspace: whether the agents' workspaces are copied with the state
    """
    return {
        "kind_of_copy": kind,
        "auth": settings.auth_directory,
        "auth_inside": AUTH,
        "state_inside": settings.state_in_gateway,
        "inside": templates.render("backup/inside.sh", workspace=workspace),
        "restored": templates.render("backup/restored.sh"),
        "counts": (templates.DIRECTORY / "backup" / "counts.mjs").read_text(encoding="utf-8"),
        "image": images.tag(settings.name),
        "ready": _READY % settings.gateway.port,
        "port": settings.gateway.port,
        "ready_seconds": settings.gateway.ready_timeout,
        "memory": settings.gateway.memory if EngineWay(settings).limits else "",
    }
