"""What could lock everybody out is tried: the host takes it back by itself, unless this machine
says over a connection of its own that it still gets in.

A connection that is there goes on through any firewall, and a run can be killed at any moment: so
the clock is the host's (`templates/hardening/trial.sh`), and the word comes by a new connection.
"""

from __future__ import annotations

import secrets
from collections.abc import Generator
from dataclasses import dataclass, field
from shlex import quote
from typing import Any

from pyinfra import host
from pyinfra.api import StringCommand
from pyinfra.api.exceptions import PyinfraError

from operations.base import answers, connection, files, snapshot, templates
from operations.base.waits import waiting
from operations.nftables import RULES

SECONDS = 60
CONNECT_SECONDS = 30
"""How long the new connection may take: within the time, with what its command takes."""


@dataclass(frozen=True)
class Trial:
    """Something of that kind, by name (`firewall`, `sshd`); `id` is another one each time."""

    kind: str
    seconds: int = SECONDS
    id: str = field(default_factory=lambda: secrets.token_hex(8))

    @property
    def directory(self) -> str:
        """Where the host has what it needs to take it back, until it is decided."""
        return f"{RULES}/trial-{self.kind}"

    def script(self, **variables: Any) -> str:
        return templates.render(f"hardening/{self.kind}.sh.j2", trial=self, **variables)


def tried(kind: str, what: str, **variables: Any) -> Generator:
    """Yield the command that tries it, and have it kept over a new connection.

    + kind: of `Trial`; its template is `hardening/KIND.sh.j2`, and takes `variables`
    + what: the setting, for the error

    Raises:
        PyinfraError: nobody gets in any more; the host has taken it back, or will.
    """
    trial = Trial(kind)
    content = trial.script(**variables)
    new = f"/run/openclaw-trial-{kind}.new"
    yield StringCommand(
        f"umask 077 && {files.received(quote(new), content)} && sh {quote(new)} try",
        _stdin=[content],
    )
    script = quote(f"{trial.directory}/script")
    try:
        with waiting("waiting for a new connection to it"), connection.anew(host, CONNECT_SECONDS):
            snapshot.run_quietly(host, f"sh {script} keep")
    except PyinfraError as error:
        try:
            snapshot.run_quietly(host, f"[ ! -e {script} ] || sh {script} back {trial.id}", 20)
            end = "and it has been taken back"
        except PyinfraError:
            end = f"and the host takes it back within {trial.seconds} s"
        raise answers.AnswerError(
            f"{what}: over a new connection the host could not be reached with it, {end}:"
            f" {answers.printable(str(error))}"
        ) from None
