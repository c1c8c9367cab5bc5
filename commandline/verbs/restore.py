"""`./claw restore`: a backup becomes the deployment's state again."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
from pyinfra.api.state import State

from commandline import changing
from commandline.options import ERRORS, examples, leave
from commandline.results import PENDING
from commandline.targets import ROOT
from operations.lifecycle import restoring


@click.command(
    epilog=examples(
        "./claw restore",
        "./claw restore root@203.0.113.7 --backup 0123abcd --dry",
        "./claw restore root@203.0.113.9 --from /mnt/claw --password-file FILE",
    )
)
@changing.change_options
@click.option(
    "--backup",
    default=restoring.LATEST,
    metavar="ID",
    help="Which one; ./claw backups lists them (default: the newest of each host).",
)
@click.option(
    "--from",
    "repository",
    metavar="REPOSITORY",
    help="Provision the host first, as `up` does, with backups in this repository.",
)
@click.option(
    "--password-file",
    metavar="FILE",
    help="With --from: what holds its password (default: backup.password of the settings).",
)
def restore(
    target: str | None,
    backup: str,
    repository: str | None,
    password_file: str | None,
    assignments: tuple[str, ...],
    **options: Any,
) -> None:
    """Restore a backup: state, workspace, token and credentials.

    All of it is unpacked before the gateway stops. What it replaces stays beside it; if the
    gateway does not become ready, it is put back. A bare host becomes a gateway with --from.

    \b
    Exit codes: 0 done, 1 failed, 2 changes pending (--dry), 130 interrupted.
    """
    if not re.fullmatch(f"[0-9a-f]{{8,64}}|{restoring.LATEST}", backup):
        raise click.BadParameter(
            "accepted: the ID of a backup, as ./claw backups shows it", param_hint="--backup"
        )
    if "" in (repository, password_file):
        raise click.UsageError("--from and --password-file: given nothing; accepted: a place")
    if password_file and not repository:
        raise click.UsageError("--password-file is for the repository of --from")
    if repository:
        assignments += (f"backup.repository={repository}",)
    if password_file:
        file = json.dumps({"file": str(Path(password_file).expanduser().absolute())})
        assignments += (f"backup.password={file}",)
    if repository and (code := _provisioned(target, assignments, options)):
        if code == PENDING:
            ERRORS.print("After that, the backup would be restored.")
        leave(code)

    def prepare(state: State) -> None:
        restoring.choose(state, backup)

    given = () if backup == restoring.LATEST else ("--backup", backup)
    changing.run(
        "restore", target, assignments=assignments, more_flags=given, prepare=prepare, **options
    )


def _provisioned(target: str | None, assignments: tuple[str, ...], options: dict[str, Any]) -> int:
    """Run `up` as a process of its own; return its exit code."""
    words = [str(ROOT / "claw"), "up", "--existing-repository", *([target] if target else [])]
    for flag, values in {
        "--set": assignments,
        "--limit": options["limit"],
        "--exclude": options["exclude"],
    }.items():
        words += [word for value in values for word in (flag, value)]
    rollout = {key: options[key] for key in ("canary", "batch", "parallel", "max_failures")}
    words += changing.flags(options["yes"], options["dry"], False, options["wait_lock"], rollout)
    words += ["-q"] if options["verbose"] < 0 else ["-v"] * options["verbose"]
    before = signal.signal(signal.SIGINT, lambda *_: None)  # it is told, too, and ends by itself
    try:
        return subprocess.call(words, stdout=sys.stderr if options["as_json"] else None)
    finally:
        signal.signal(signal.SIGINT, before)
