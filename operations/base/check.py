"""One thing that was looked at on a host, and what was seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Outcome = Literal["ok", "failed", "unknown"]
EXPECTED_DOCTOR = frozenset(
    {"gateway.bind_network_accessible", "node-onboarding-url", "machine-client-auth"}
)
"""What `doctor` says of every gateway in a container: it binds to lan, and only the host's
published port decides who can reach it. Of one on the host: it binds to the loopback alone. And of
every one that believes a proxy: nodes on other machines have no way in (docs/exposure.md)."""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at; `detail` is a sentence for the summary, without secrets.

    Checks of a `group`, such as one sandbox's, are counted together in a summary; `configured` and
    `found` are for a table.
    """

    name: str
    outcome: Outcome
    detail: str = ""
    group: str = ""
    configured: str = ""
    found: str = ""

    @property
    def label(self) -> str:
        return f"{self.group}: {self.name}" if self.group else self.name


def counting(findings: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return those findings of `openclaw doctor --json` that count: warnings and errors that it
    does not have of every gateway of ours.
    """
    return [
        one
        for one in findings
        if one.get("severity") in ("warning", "error")
        and one.get("requirement") not in EXPECTED_DOCTOR
    ]
