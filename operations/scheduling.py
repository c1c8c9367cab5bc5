"""What a host does by itself: by a timer of systemd's, or without systemd by a file in /etc/cron.d
(systemd.timer(5); cron(8), crontab(5)).
"""

from __future__ import annotations

from collections.abc import Iterable

from operations.base import quoting

_HEAD = """# {} of the OpenClaw deployment {}. Written by openclaw-pyinfra.
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"""


def units(deployment: str, kind: str) -> tuple[str, str]:
    """Return the paths of a deployment's service and timer."""
    path = f"/etc/systemd/system/{deployment}-{kind}"
    return f"{path}.service", f"{path}.timer"


def service(deployment: str, kind: str) -> str:
    """Return the name of a deployment's service, as systemctl takes it."""
    return f"{deployment}-{kind}.service"


def timer(deployment: str, kind: str) -> str:
    """Return the name of a deployment's timer, as systemctl takes it."""
    return f"{deployment}-{kind}.timer"


def cron_path(deployment: str, kind: str) -> str:
    """Return the path of a deployment's file of cron's."""
    # cron reads no file with a dot in its name; a deployment's has none.
    return f"/etc/cron.d/{deployment}-{kind}"


def cron_content(about: str, deployment: str, jobs: Iterable[str]) -> str:
    """Return the content of a file of cron's.

    + about: what the jobs do, in a word
    + jobs: lines such as `* * * * * root COMMAND`, of nothing that means anything to cron or to the
      shell but what is meant
    """
    return "\n".join([_HEAD.format(about, quoting.plain(deployment)), *jobs, ""])
