"""sudo's password reaches a host on standard input, never as an argument of a process.

pyinfra hands sudo a helper that prints a variable, and writes that variable into the command
line of `env`, where every user of the host can read it. The helper made here holds the password
itself: a script that only the login user may read, kept in memory where the host allows it.
pyinfra takes it away when it disconnects.
"""

from __future__ import annotations

from shlex import quote

from pyinfra.api import StringCommand
from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.host import Host

PLACEHOLDER = "(in the helper)"
_INSTALL = """umask 077
for directory in "$XDG_RUNTIME_DIR" /dev/shm /tmp "$HOME"; do
  [ -d "$directory" ] || continue
  helper=$(mktemp "$directory/openclaw-askpass.XXXXXX" 2>/dev/null) || continue
  printf '#!/bin/sh\\n' >"$helper" && chmod 700 "$helper"
  if "$helper" 2>/dev/null; then cat >>"$helper" && echo "$helper" && exit; fi
  rm -f "$helper"
done
exit 1"""


def install(host: Host) -> None:
    """Put the password of the inventory or of the user's answer where only sudo's helper has it.

    Does nothing for a host without `_sudo_password`.

    Raises:
        PyinfraError: no directory of the host takes an executable file of the login user.
    """
    password = getattr(host.data, "_sudo_password", None)
    if not password or password == PLACEHOLDER:
        return
    succeeded, output = host.run_shell_command(
        StringCommand(_INSTALL), _stdin=[f"printf '%s\\n' {quote(str(password))}"]
    )
    if not succeeded:
        raise PyinfraError(f"{host.name}: no directory there takes sudo's password helper")
    host.connector_data[f"sudo_askpass_path__{host.get_temp_dir_config()}"] = output.stdout.strip()
    host.data._sudo_password = PLACEHOLDER
