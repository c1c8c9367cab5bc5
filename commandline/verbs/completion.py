"""`./claw completion`: what a shell completes verbs and options with."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from commandline.command_group import COMPLETE
from commandline.options import examples, leave

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
