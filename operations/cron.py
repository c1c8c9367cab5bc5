"""What a host without systemd does by itself: a file in /etc/cron.d (cron(8), crontab(5))."""

from __future__ import annotations

from collections.abc import Iterable

from operations.base import quoting

_HEAD = """# {} of the OpenClaw deployment {}. Written by openclaw-pyinfra.
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"""


def path(deployment: str, kind: str) -> str:
    """Return the path of a deployment's file."""
    # cron reads no file with a dot in its name; a deployment's has none.
    return f"/etc/cron.d/{deployment}-{kind}"


def content(about: str, deployment: str, jobs: Iterable[str]) -> str:
    """Return the file's content.

    + about: what the jobs do, in a word
    + jobs: lines such as `* * * * * root COMMAND`, of nothing that means anything to cron or to the
      shell but what is meant
    """
    return "\n".join([_HEAD.format(about, quoting.plain(deployment)), *jobs, ""])
