"""sudo's password reaches a host on standard input, never as an argument of a process.

pyinfra hands sudo a helper that prints a variable, and writes that variable into the command
line of `env`, where every user of the host can read it. The helper made here holds the password
itself: a script in a directory that only the login user may enter, kept in memory where the host
allows it. pyinfra takes it away when it disconnects; what a run that was killed left behind, whose
connection is gone, the next one takes away.
"""

from __future__ import annotations

import re
from shlex import quote

from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.host import Host

from operations.base import answers, templates
from toolkit import pyinfra_internals

PLACEHOLDER = "(in the helper)"


def install(host: Host) -> None:
    """Put the password of the inventory or of the user's answer where only sudo's helper has it.

    Does nothing for a host without `_sudo_password`.

    Raises:
        PyinfraError: no directory of the host takes an executable file of the login user, or it
            does not say where it is.
    """
    password = getattr(host.data, "_sudo_password", None)
    if not password or password == PLACEHOLDER:
        return
    try:
        script = templates.render("access/askpass.sh.j2")
        path = answers.ask(host, script, given=f"printf '%s\\n' {quote(str(password))}\n")
    except answers.CommandFailed:
        raise PyinfraError(
            f"{host.name}: no directory there takes sudo's password helper"
        ) from None
    except PyinfraError as error:
        raise PyinfraError(f"{host.name}: sudo's password helper: {error}") from None
    if not re.fullmatch(r"/[^\x00-\x1f]*/openclaw-askpass\.\w{6}", path):
        said = answers.printable(path)
        raise PyinfraError(f"{host.name}: sudo's password helper is to be at {said}")
    pyinfra_internals.keep_askpass(host, path)
    host.data._sudo_password = PLACEHOLDER
