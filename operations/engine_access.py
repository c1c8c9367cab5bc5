"""How a deployment reaches its engine, and what that lets its gateway do.

A gateway with sandboxes starts them itself, through an engine's API (docs: gateway/sandboxing,
"Docker backend"). In the form `socket` that is the host's engine; in the forms `rootless` and
`host` an engine of the deployment's own, under a user without privileges; in `host` the gateway is
a service (`operations.gateway.service`). This is the one place that answers which socket is used.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from typing import Literal

from operations import container_user
from operations.base import snapshot, templates
from operations.base.quoting import Script, joined
from toolkit import patterns
from toolkit.patterns import matched
from toolkit.settings import Settings

Form = Literal["socket", "rootless", "host"]
IN_GATEWAY = "/var/run/docker.sock"
"""Where the gateway finds the socket: docker's own default, so that nothing has to name it."""
DEFAULT_SOCKETS = ("/var/run/docker.sock", "/run/docker.sock")
SUBORDINATE_IDS = 65536
_IDS = r"([0-9]{1,10}:[0-9]{1,10})?"
CONTAINER_USER = container_user.IMAGES


@snapshot.fact("access")
@dataclass(frozen=True)
class Access:
    """What a host says of the forms; of the user of the deployment's own engine, `uid` and `gid`,
    and with `subuid` and `subgid` the first ids beside his own; '' and 0 without him.
    """

    form: str = ""
    reason: str = ""
    lacking: str = ""
    own_engine: bool = False
    deployed: bool = False
    service: bool = False
    foreign: bool = False
    cgroup2: bool = False
    uid: str = ""
    gid: str = ""
    subuid: int = 0
    subgid: int = 0
    group: int | None = None

    @staticmethod
    def script(settings: Settings) -> str:
        known = fixed_form(settings)
        return templates.render(
            "access/probe.sh.j2",
            auto=known is None,
            user=user_name(settings.name),
            service=service_unit(settings.name),
            socket=settings.engine.socket if settings.sandbox.enabled else None,
            **_places(settings),
        )

    @classmethod
    def parse(cls, lines: list[str]) -> Access:
        facts = dict(line.partition("=")[::2] for line in lines)
        uid, _, gid = matched(_IDS, facts.get("user", ""), "UID:GID").partition(":")
        return cls(
            form=facts.get("form", ""),
            reason=facts.get("reason", ""),
            lacking=facts.get("lacking", ""),
            own_engine="own-engine" in facts,
            deployed="deployed" in facts,
            service="service" in facts,
            foreign="foreign" in facts,
            cgroup2="cgroup2" in facts,
            uid=uid,
            gid=gid,
            subuid=_number(facts.get("subuid")) or 0,
            subgid=_number(facts.get("subgid")) or 0,
            group=_number(facts.get("group")),
        )


@dataclass(frozen=True)
class EngineWay:
    """How the current host's deployment reaches its engine; what the host decides is read of its
    facts when it is asked for.
    """

    settings: Settings

    @property
    def form(self) -> Form:
        """Return the form: as the settings say, or with `auto` the host."""
        known = fixed_form(self.settings)
        if known:
            return known
        return "rootless" if snapshot.of(Access).form == "rootless" else "socket"

    @property
    def own_engine(self) -> bool:
        """Return whether the deployment has an engine of its own, without root."""
        return self.form != "socket"

    @property
    def reason(self) -> str:
        """Return why it is that form, for the summary."""
        if self.settings.sandbox.socket != "auto":
            return f"sandbox.socket is {self.settings.sandbox.socket}"
        if chosen_engine(self.settings):
            return "the settings name the engine"
        return snapshot.of(Access).reason

    @property
    def socket(self) -> str:
        """Return the path on the host of the socket of the engine that runs the deployment."""
        return (
            rootless_socket(self.settings.name) if self.own_engine else self.settings.engine.socket
        )

    @property
    def limits(self) -> bool:
        """Return whether the deployment's engine holds containers to their limits."""
        return not self.own_engine or snapshot.of(Access).cgroup2

    @property
    def uid(self) -> int:
        """Return the uid that the gateway and its sandboxes have in their containers."""
        if self.own_engine:
            return CONTAINER_USER
        wanted = self.settings
        return container_user.chosen(wanted.name, wanted.config_directory, wanted.gateway.uid)

    @property
    def tools_user(self) -> str:
        """Return the user of sandboxed tools, as `uid:gid` in their containers."""
        return self.settings.sandbox.container.user or f"{self.uid}:{self.uid}"

    def owner(self, user: int | None = None) -> str:
        """Return whom a container's user is on the host, as `uid:gid`; None: the gateway's.

        In a rootless engine id 0 is the engine's user, and id 1 the first of his subordinate ids.
        Without any, because the user is yet to be made, the answer belongs to nobody.
        """
        user = self.uid if user is None else user
        if not self.own_engine:
            return f"{user}:{user}"
        there = snapshot.of(Access)
        return f"{there.subuid + user - 1}:{there.subgid + user - 1}"

    @property
    def moving(self) -> str | None:
        """Return the `uid:gid` of state that the activation is yet to give to the gateway's user;
        what an engine without root has is never given away so.
        """
        return (
            None
            if self.own_engine
            else container_user.moving(self.settings.config_directory, self.owner())
        )

    @property
    def engine_group(self) -> str | None:
        """Return the numeric group of a rootless engine's user; None in the form `socket`."""
        if not self.own_engine:
            return None
        return snapshot.of(Access).gid or "0"

    @property
    def group(self) -> int | None:
        """Return the further group in which the gateway may use the socket, if it needs one.

        A rootless engine gives its socket to the gateway's own group.
        """
        return None if self.own_engine else snapshot.of(Access).group


def fixed_form(settings: Settings) -> Form | None:
    """Return the form if the settings alone decide it; None if the host does (`auto`)."""
    asked = settings.sandbox.socket
    if asked != "auto":
        return asked
    return "socket" if not settings.sandbox.enabled or chosen_engine(settings) else None


def environment(settings: Settings) -> Script:
    """Return shell lines after which `docker` means that engine, and what it says has an end; for
    what runs without a snapshot, too: probes, and the verbs.
    """
    rootless, plain = rootless_socket(settings.name), settings.engine.socket
    form = fixed_form(settings)
    return _environment(
        known=form and (plain if form == "socket" else rootless),
        rootless=rootless,
        plain=plain,
        **_places(settings),
    )


@cache
def _environment(**names: str | None) -> Script:
    return joined(templates.render("access/environment.sh.j2", **names))


def user_name(name: str) -> str:
    """Return the name of a deployment's engine, its user and its unit."""
    user = f"{name}-engine"
    digest = hashlib.sha256(user.encode()).hexdigest()[:8]
    return user if len(user) <= 32 else f"{user[:16]}-{digest}-engine"


def service_name(name: str) -> str:
    """Return the name of the gateway's user and unit in the form `host`."""
    return user_name(name).removesuffix("-engine") + "-gateway"


def service_unit(name: str) -> str:
    return f"/etc/systemd/system/{service_name(name)}.service"


def rootless_unit(name: str) -> str:
    return f"/etc/systemd/system/{user_name(name)}.service"


def rootless_socket(name: str) -> str:
    return f"/run/{user_name(name)}/docker.sock"


def rootless_home(name: str) -> str:
    """Return where a rootless engine keeps images, containers and volumes."""
    return f"/var/lib/{user_name(name)}"


def _number(said: str | None) -> int | None:
    return int(matched(patterns.NUMBER, said, "a number")) if said else None


def chosen_engine(settings: Settings) -> bool:
    """Return whether the settings name an engine that is there."""
    engine = settings.engine
    return engine.source == "existing" or engine.socket not in DEFAULT_SOCKETS


def _places(settings: Settings) -> dict[str, str]:
    return {
        "unit": rootless_unit(settings.name),
        "compose": f"{settings.project_directory}/docker-compose.yml",
    }
