"""What the command line says of itself: its version, and completion for shells."""

from __future__ import annotations

import re
import subprocess
from contextlib import suppress

import click
from click.shell_completion import get_completion_class

from commandline.options import examples, leave
from commandline.targets import ROOT

COMPLETE = "_CLAW_COMPLETE"
"""The variable by which click is asked for completions."""
# A claw that is called by a path is on no PATH; the word as it was typed calls it too.
_CALLED = {
    "zsh": (
        ("zsh_complete claw", "zsh_complete ${~words[1]}"),
        ("(( ! $+commands[claw] )) && return 1", ""),
    ),
    "fish": (
        ("COMP_CWORD=(commandline -t) claw", "COMP_CWORD=(commandline -t) (commandline -opc)[1]"),
    ),
}


def version() -> str:
    """Return the toolkit's version, with the commit of a checkout."""
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    found = re.search(r'^version = "(.+)"$', project, re.MULTILINE)
    words = ["openclaw-pyinfra", found[1] if found else "unknown"]
    if (ROOT / ".git").exists():
        describe = ["git", "-C", str(ROOT), "describe", "--tags", "--always", "--dirty"]
        with suppress(OSError, subprocess.SubprocessError):
            said = subprocess.run(
                describe, capture_output=True, encoding="utf-8", check=True, timeout=10
            )
            words.append(f"({said.stdout.strip()})")
    return " ".join(words)


def show_version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    """Print the version and leave, if that is wanted."""
    if wanted and not context.resilient_parsing:
        print(version())
        leave(0)


@click.command(epilog=examples('eval "$(./claw completion bash)"', target=False))
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
def completion(shell: str) -> None:
    """Print what makes a shell complete verbs and options.

    \b
    ~/.bashrc                   eval "$(PATH/claw completion bash)"
    ~/.zshrc, below compinit    eval "$(PATH/claw completion zsh)"
    ~/.config/fish/config.fish  PATH/claw completion fish | source
    """
    kind = get_completion_class(shell)
    assert kind is not None
    group = click.get_current_context().find_root().command
    script = kind(group, {}, "claw", COMPLETE).source()
    for old, new in _CALLED.get(shell, ()):
        script = script.replace(old, new)
    print(script)
    leave(0)


ALL = (completion,)
