"""How a deployment reaches its engine, and what that lets its gateway do.

A gateway with sandboxes starts them itself, through the API of the engine that runs it (docs:
gateway/sandboxing, "Docker backend"). This module is the one place that answers which socket that
is; nothing else reads `settings.engine.socket`.
"""

from __future__ import annotations

from collections.abc import Iterable
from shlex import quote
from typing import Literal

from operations import preflight, snapshot
from toolkit.settings import Settings

Form = Literal["socket", "rootless"]
IN_GATEWAY = "/var/run/docker.sock"
"""Where the gateway finds the socket: docker's own default, so that nothing has to name it."""
WARNING = (
    "the gateway has the socket of the host's engine: it can do anything that root can on this host"
)


def form(settings: Settings) -> Form:
    """Return how the current host's deployment reaches its engine."""
    return "socket"


def reason(settings: Settings) -> str:
    """Return a sentence that says why it is that form, for the summary."""
    return "the host's own engine runs the gateway and its sandboxes"


def socket(settings: Settings) -> str:
    """Return the path on the host of the socket of the engine that runs the deployment."""
    return settings.engine.socket


def environment(settings: Settings) -> str:
    """Return shell lines after which `docker` means that engine; for what runs without a snapshot:
    probes, and the verbs.
    """
    return f"export DOCKER_HOST={quote('unix://' + settings.engine.socket)}"


def warnings(settings: Settings) -> Iterable[str]:
    """Yield what every summary must say about the form."""
    if settings.sandbox.enabled and form(settings) == "socket":
        yield WARNING


def group(settings: Settings) -> int | None:
    """Return the numeric group that may use the socket, as the snapshot knows it."""
    answer = snapshot.read().get("access", "").strip()
    return int(answer) if answer else None


@snapshot.probe("access")
def access_probe(settings: Settings) -> str:
    return f"stat -L -c %g {quote(socket(settings))}" if settings.sandbox.enabled else ""


@preflight.check
def access_problems(settings: Settings, answers: dict[str, str]) -> Iterable[preflight.Problem]:
    if settings.sandbox.enabled and settings.sandbox.socket == "rootless":
        yield preflight.Problem(
            "sandbox.socket is rootless, which is not there yet", "set it to auto or socket"
        )
