"""`./claw test`: the toolkit's own tests."""

from __future__ import annotations

import subprocess
import sys

import click

from commandline.options import examples, leave
from commandline.results import INTERRUPTED
from commandline.targets import ROOT


@click.command(
    context_settings={"ignore_unknown_options": True},
    epilog=examples("./claw test --fast", target=False),
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def test(arguments: tuple[str, ...]) -> None:
    """Run the tests of the toolkit; arguments go to pytest.

    \b
    --fast      unit and operations tests, the quick ones
    (nothing)   real deployments too, on hosts that it makes
    --all       everything but what is marked long
    -m long     what is marked long
    FILES       all that they hold

    The first time, some 70 MB of Python packages are installed for them.
    """
    command = [sys.executable, "-m", "pytest", *arguments]
    try:
        leave(subprocess.run(command, cwd=ROOT, check=False).returncode)
    except KeyboardInterrupt:
        leave(INTERRUPTED)
