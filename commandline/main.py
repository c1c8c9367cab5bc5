"""The command line: `./claw VERB [TARGET]`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from commandline import about, errors, verbs
from commandline.command_group import COMPLETE, INSTEAD, Verbs
from commandline.errors import explain
from commandline.options import examples, fail, leave
from commandline.results import FAILED, INTERRUPTED
from toolkit import terminal


def main() -> None:
    """Run the command line; exits."""
    errors.take_over()
    terminal.guard()
    try:
        # What user-written Python inventories import is beside them or where the user is.
        sys.path.append(str(Path.cwd()))
    except OSError as error:
        fail(f"the current directory: {error.strerror}; change to one that is there")
    arguments, after = split(sys.argv[1:])
    click.UsageError.exit_code = FAILED  # click's own 2 means something else here
    try:
        code = cli.main(
            arguments,
            prog_name="./claw",
            complete_var=COMPLETE,
            obj=after,
            standalone_mode=False,
        )
    except click.ClickException as error:
        error.show()
        leave(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        leave(INTERRUPTED)
    except Exception as error:
        fail(explain(error))
    leave(code if isinstance(code, int) else 0)


def split(arguments: list[str]) -> tuple[list[str], tuple[str, ...]]:
    """Return what is for us, and what stands behind `--` for OpenClaw's own command line."""
    if arguments[:1] in (["cli"], ["onboard"]) and "--" in arguments:
        place = arguments.index("--")
        return arguments[:place], tuple(arguments[place + 1 :])
    return arguments, ()


@click.group(
    cls=Verbs,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=examples("./claw up root@203.0.113.7 --dry", "./claw status", target=False),
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=about.show_version,
    help="Show the version of the toolkit and exit.",
)
def cli() -> None:
    """Provisions an OpenClaw gateway on this machine or on hosts over SSH.

    Start with `./claw up` (this machine) or `./claw up root@HOST`.
    """


cli.files, cli.instead = verbs, INSTEAD
