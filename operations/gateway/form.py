"""How the gateway is run: a container of the compose project, or a service of the host.

`of` is the one place that asks which: everybody else asks the form. Scripts on the host begin with
`shell`, after which these functions do the same in both forms:

- `gateway_deployed`, `gateway_status` (`running`, `restarting`, `exited`, ...; nothing: there is
  none), `gateway_runs`, `gateway_health`, `gateway_restarts`, `gateway_exit_code`,
  `gateway_started`;
- `gateway_image`, `gateway_label`: what it was started from; `wanted_label DIRECTORY`: what the
  files there say; `gateway_files`: their names;
- `gateway_exec [-t] COMMAND`: runs it where the gateway runs; `gateway_run COMMAND`: also without
  a gateway;
- `gateway_log --tail LINES|--since SECONDS [-f]`, `gateway_variables` (for hiding their values),
  `gateway_described` (JSON), `gateway_mounts` (JSON), `gateway_published` (JSON);
- `gateway_start`, `gateway_stop`, `gateway_restart`, `gateway_start_again` (what was stopped, as it
  was), `gateway_resume` (what was paused), `gateway_prune`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from operations import engine_access
from operations.base import preflight, templates
from operations.base.preflight import Problem
from operations.base.quoting import Script, joined
from operations.engine_access import EngineWay
from operations.gateway import container, service
from operations.gateway.confinement import Places
from toolkit import secret_names
from toolkit.settings import Settings


class Form(Protocol):
    """What the two differ in; the modules `container` and `service` are it."""

    TEMPLATE: Mapping[str, object]
    """What templates say differently of the two: whether it is a `service`, and its `kind`."""

    def functions(self, settings: Settings) -> Script:
        """Return the shell functions that this module's text names."""

    def inputs(self, settings: Settings) -> str:
        """Return the digest of everything that the gateway gets; its label, once it runs."""

    def labelled(self, settings: Settings) -> list[str]:
        """Return the paths of the files that `label` wants the texts of, that which bears the label
        first.
        """

    def label(self, settings: Settings, texts: Sequence[str], environment: str) -> str:
        """Return the digest of a gateway with the files as they are on the host and the text of a
        `.env`; a text is '' where there is no file.
        """

    def uid(self, settings: Settings) -> str:
        """Return the uid that the gateway has in its own surroundings."""

    def uid_of(self, settings: Settings, user: int) -> str:
        """Return the uid by which the gateway sees files of a user of its engine's containers."""

    def user(self, settings: Settings) -> str | None:
        """Return the host's user that the gateway itself runs as; None where its engine says so."""

    def writable(self, settings: Settings) -> list[str]:
        """Return the directories that the gateway must be able to write to, as it sees them."""

    def configuration(self, settings: Settings) -> dict[str, Any]:
        """Return what openclaw.json must say of a gateway of this form: `gateway.bind`, and more
        keys where it needs them.
        """

    def problems(self, settings: Settings) -> Iterable[Problem]:
        """Yield what keeps a host from being given a gateway of this form."""

    def hardening(
        self, settings: Settings, described: Mapping[str, Any], user: str, ports: Mapping[str, Any]
    ) -> dict[str, tuple[Any, Any]]:
        """Return what the running gateway has, and what it should have, by name.

        + described: what `gateway_described` says
        + user, ports: of the container
        """

    def run_arguments(self, settings: Settings, there: Places, environment: str) -> list[str]:
        """Return what `systemd-run` is told for a second gateway with other directories and another
        file of variables; nothing where a gateway is a container.
        """

    def entered(self, settings: Settings, missing: str) -> str:
        """Return the shell lines that end with the words `missing` where nothing is deployed."""

    def cli(self, settings: Settings, words: Iterable[str], terminal: bool, missing: str) -> str:
        """Return the shell lines that run OpenClaw's command line beside the gateway."""

    def onboard(self, settings: Settings, words: Iterable[str], missing: str) -> str:
        """Return the same on a terminal, also without a gateway that runs."""

    def log(self, settings: Settings, tail: int, follow: bool, missing: str) -> str:
        """Return the shell lines that print the gateway's log as it is."""

    def lines(
        self,
        settings: Settings,
        since: int | None,
        until: int | None,
        tail: int | None,
        follow: bool,
    ) -> Script:
        """Return the shell function `gateway_lines`, which prints the log with the stream of each
        line (`O`, `E`; `-`: not known) and its time (seconds since 1970, or RFC 3339; 0: that of
        the one before) in front; it stands behind `entered`.

        + since, until: moments in seconds since 1970
        + tail: only so many lines, the last ones
        """


def of(settings: Settings) -> Form:
    """Return the form of a deployment."""
    return service if settings.gateway_on_host else container


def shell(settings: Settings) -> Script:
    """Return shell lines after which `docker` means the deployment's engine, and the functions
    above its gateway.
    """
    return joined(engine_access.environment(settings), of(settings).functions(settings))


def script_variables(settings: Settings) -> dict[str, Any]:
    """Return what every script is rendered with that stops or starts the gateway
    (`templates/compose/{detached,ready}.sh.j2`).
    """
    return {
        **of(settings).TEMPLATE,
        "name": settings.name,
        "project": settings.project_directory,
        "url": url(settings),
        "timeout": settings.gateway.ready_timeout,
        "secret_parts": secret_names.LOGGED,
        "secrets": sorted(settings.credentials),
        "docker": shell(settings),
    }


def ownership(settings: Settings) -> Script:
    """Return shell functions that give the state to the gateway's user while it is stopped."""
    home = settings.home_volume or ""
    directories = [
        settings.config_directory,
        settings.workspace_directory,
        settings.auth_directory,
        settings.archives_directory,
        *([home] if home.startswith("/") else []),
    ]
    return templates.render(
        "compose/owned.sh.j2",
        # In an engine without root the users of containers are subordinate ids of the host's.
        directories=[] if EngineWay(settings).own_engine else directories,
        volume="" if home.startswith("/") else home,
    )


def url(settings: Settings) -> str:
    """Return the gateway's address as the host itself reaches it."""
    address = ipaddress.ip_address(settings.gateway.address)
    if address.is_unspecified:
        address = ipaddress.ip_address("::1" if address.version == 6 else "127.0.0.1")
    return f"http://{in_url(str(address))}:{settings.gateway.port}"


def in_url(address: str) -> str:
    """Return an address, or a host's name, as a URL has it."""
    return f"[{address}]" if ":" in address else address


@preflight.check
def form_problems(settings: Settings) -> Iterable[Problem]:
    yield from of(settings).problems(settings)
