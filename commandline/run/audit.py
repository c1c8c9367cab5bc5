"""The line that a run leaves on each host that it changed, or tried to change."""

from __future__ import annotations

import json
import time
from typing import Any

from pyinfra import __version__ as pyinfra_version

from commandline.results import HostResult
from toolkit.terminal import printable


def line(own: HostResult, run: str, owner: str, target: str, openclaw: str) -> str:
    """Return the JSON line; empty if the run changed nothing on the host and did not fail there.

    Names of operations hold no secrets; output, which may, is left out.
    """
    failed = [operation.name for operation in own.operations if operation.failed]
    if not own.changed and not failed:
        return ""
    result = "done"
    if failed or own.failed or own.left_out:
        interrupted = own.left_out or (own.failed or "").startswith("interrupted")
        result = "interrupted" if interrupted else "failed"
    entry: dict[str, Any] = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "run": run,
        "owner": owner,
        "target": target,
        "result": result,
        "changed": own.changed,
        "failed": failed,
        "seconds": round(own.seconds, 1),
        "versions": {"openclaw": openclaw, "pyinfra": pyinfra_version},
    }
    return printable(json.dumps(entry, ensure_ascii=False))
