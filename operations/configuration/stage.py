"""openclaw.json: the keys that the toolkit owns, merged by OpenClaw's own CLI.

OpenClaw and its users edit the file at run time; only the keys of `owned` are compared and
written, with `openclaw config patch` and `openclaw config validate` of the release that will run
(docs: cli/config). `OPENCLAW_CONFIG_READONLY=1` (`config_ownership: managed`) keeps OpenClaw
itself from writing.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Generator, Iterable, Mapping, Sequence
from typing import Any

from pyinfra import host, logger
from pyinfra.api import StringCommand
from pyinfra.api.deploy import deploy

from operations.base import files, preflight, snapshot, templates
from operations.base.operation import operation
from operations.configuration import channels, sandbox_policy
from operations.engine_access import EngineWay
from operations.gateway import existing_state, form, front, host_secrets, includes
from operations.images import stage as images
from operations.recorded import Recorded
from toolkit import merging, secret_names
from toolkit.settings import Settings
from toolkit.settings.exposure import Exposure
from toolkit.settings.model import Gateway
from toolkit.settings.types import memory_bytes

_ABSENT = object()
MERGE_SECONDS = 900
"""How long OpenClaw may take for it: what it reads can be without an end."""


def owned(
    settings: Settings,
    there: Mapping[str, Any] | None = None,
    proxies: Sequence[str] | None = None,
    before: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the part of openclaw.json that the toolkit owns; a None means: absent.

    + settings: the settings of the host
    + there: openclaw.json as it is, of which the sandbox policy takes what it does not want
    + proxies: whose word for a client's address the gateway takes; None: that is not owned
    + before: the settings of the last deploy, whose channels may be none any more

    Beside what a gateway in a container needs, these are the settings with which OpenClaw's
    `security audit --deep` finds nothing; everything may be overridden under `openclaw`.
    """
    of_form = form.of(settings).configuration(settings)
    gateway: dict[str, Any] = {
        "mode": "local",
        **of_form["gateway"],
        "port": settings.gateway.port,
        "auth": {
            **front.authentication(settings.exposure),
            "rateLimit": {"maxAttempts": 10, "windowMs": 60_000, "lockoutMs": 300_000},
        },
        "controlUi": {"allowedOrigins": allowed_origins(settings.gateway, settings.exposure)},
        "terminal": {"enabled": False},
    }
    if settings.exposure.profile != "proxy":
        gateway = merging.merge(gateway, front.left((there or {}).get("gateway")))
    if proxies is not None:
        gateway["trustedProxies"] = list(proxies) or None
    defaults: dict[str, Any] = {
        "gateway": gateway,
        "discovery": {"mdns": {"mode": "off"}},
        "skills": {"workshop": {"autonomous": {"mode": "off"}}},
        "session": {"dmScope": "per-channel-peer"},
        "tools": {"elevated": {"enabled": False}},
    }
    if logging := _logging(settings.gateway):
        defaults["logging"] = logging
    if settings.gateway.install_browser:
        # No display, and no user namespaces for Chromium's own sandbox, in a closed container.
        defaults["browser"] = {"headless": True, "noSandbox": True}
    defaults = merging.merge(defaults, of_form)
    defaults = merging.merge(defaults, sandbox_policy.configuration(settings, there))
    defaults = merging.merge(defaults, channels.configuration(settings.channels, before or {}))
    return merging.merge(defaults, settings.openclaw)


def _logging(gateway: Gateway) -> dict[str, Any]:
    """Return the owned keys of `logging` (docs/gateway/config-observability.md)."""
    found: dict[str, Any] = {}
    if gateway.log_level:
        found = {
            "level": gateway.log_level,
            "consoleLevel": gateway.log_level,
            # The file that is written and the five before it, in a quarter of /tmp.
            "maxFileBytes": memory_bytes(gateway.tmp_size) // 4 // 6,
        }
    return found | ({"consoleStyle": gateway.log_style} if gateway.log_style else {})


def allowed_origins(gateway: Gateway, exposure: Exposure) -> list[str]:
    """Return the origins that may open the Control UI, with the published port."""
    port, address = gateway.port, ipaddress.ip_address(gateway.address)
    origins = [f"http://127.0.0.1:{port}", f"http://localhost:{port}"]
    if not address.is_unspecified:
        origins.append(f"http://{form.in_url(str(address))}:{port}")
    return list(dict.fromkeys([*origins, *gateway.allowed_origins, *exposure.origins]))


def differences(wanted: Mapping[str, Any], there: object, path: str = "") -> Iterable[str]:
    """Yield `key: old -> new` for each owned key that differs; secret-like values are hidden."""
    for key, value in wanted.items():
        current = there.get(key, _ABSENT) if isinstance(there, dict) else _ABSENT
        dotted = f"{path}.{key}" if path else key
        if isinstance(value, Mapping) and not _is_reference(value):
            if not isinstance(current, dict) and not value:
                yield f"{dotted}: {_shown(dotted, current)} -> {{}}"
            yield from differences(value, current, dotted)
        elif value is None and current is not _ABSENT:
            yield f"{dotted}: {_shown(dotted, current)} -> absent"
        elif value is not None and current != value:
            yield f"{dotted}: {_shown(dotted, current)} -> {_shown(dotted, value)}"


def nulls(wanted: Mapping[str, Any], there: object) -> Iterable[list[str]]:
    """Yield the owned keys that are null, which OpenClaw refuses: to us they are absent."""
    for key, value in wanted.items():
        if not isinstance(there, dict) or key not in there:
            continue
        if there[key] is None:
            yield [key]
        elif isinstance(value, Mapping) and not _is_reference(value):
            yield from ([key, *below] for below in nulls(value, there[key]))


def pending(settings: Settings, there: Mapping[str, Any]) -> list[str]:
    """Return the differences of an openclaw.json to the owned keys."""
    return list(differences(_here(settings, there), there))


def _here(settings: Settings, there: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is owned on the current host."""
    return owned(settings, there, _proxies(settings), snapshot.of(Recorded).settings)


def _proxies(settings: Settings) -> Sequence[str] | None:
    return front.trusted(settings.exposure, settings.gateway, settings.front_port)


@preflight.check
def configuration_problems(settings: Settings) -> Iterable[preflight.Problem]:
    path = host_secrets.config_path(settings)
    try:
        content = host_secrets.read(settings)
        there, whole = content.own_configuration(), content.configuration()
    except host_secrets.UnreadableFile as error:
        yield preflight.Problem(
            f"{path}: {error}", f"mend it, or move the file away: mv {path} {path}.broken"
        )
        return
    found = list(includes.sections(there))
    changes = pending(settings, whole) if found else []
    for section, listed in found:
        below = [one for one in changes if not section or one.startswith(f"{section}.")]
        if below:
            yield preflight.Problem(
                f"{path} takes {section or 'everything'} from {listed} ({includes.KEY}), where the"
                f" toolkit does not write, and this must be in there: {'; '.join(below[:12])}",
                f"write it there, or take {section or 'it'} into openclaw.json itself",
            )


@operation
def merged(settings: Settings) -> Generator:
    """Merge the owned keys into openclaw.json; the first time after OpenClaw's own onboarding.

    + settings: the settings of the host

    What OpenClaw's validator refuses is not written. OpenClaw's CLI writes strict JSON: comments
    of a JSON5 file go, the file of before stays as `openclaw.json.bak`. A file with keys that the
    release has retired is first rewritten by OpenClaw's doctor, which may drop some; that file of
    before stays as `openclaw.json.before-doctor`, for good.
    """
    content = host_secrets.read(settings)
    changes, present = pending(settings, content.configuration()), content.config is not None
    if present and not changes:
        host.noop("the owned keys of openclaw.json are as they should be")
        return
    if host.state.is_executing or host.state.config.DIFF:
        for change in changes if present else []:
            files.differences.info(f"{host.print_prefix}openclaw.json: {change}")
    rewritten = snapshot.of(existing_state.Existing).kept
    yield StringCommand("sh -s", _stdin=[script(settings)])
    if snapshot.of(existing_state.Existing).kept > rewritten:
        path = f"{settings.config_directory}/{existing_state.KEPT}"
        logger.warning(
            f"{host.print_prefix}openclaw.json had keys that this release has retired; OpenClaw's"
            f" doctor has rewritten it, and what it was is kept: compare {path}"
        )
    if left := pending(settings, host_secrets.read(settings).configuration()):
        logger.warning(
            f"{host.print_prefix}OpenClaw keeps these keys of `openclaw` in another form; write "
            f"them as `openclaw config get` shows them: {', '.join(x.split(':')[0] for x in left)}"
        )


def script(settings: Settings) -> str:
    """Return the shell script that onboards, patches and validates on the host."""
    content = host_secrets.read(settings)
    there = content.own_configuration()
    wanted = _here(settings, content.configuration())
    patch = includes.outside(wanted, there)
    return templates.render(
        "openclaw/merge.sh.j2",
        docker=form.shell(settings),
        ownership=form.ownership(settings),
        project=settings.project_directory,
        config=settings.config_directory,
        image=images.tag(settings.name),
        onboard=settings.onboarding.enabled,
        believes_proxy=settings.exposure.profile == "proxy",
        bind=form.of(settings).configuration(settings)["gateway"]["bind"],
        auth_choice=settings.onboarding.auth_choice,
        port=settings.gateway.port,
        seconds=settings.gateway.patience(MERGE_SECONDS),
        uid=EngineWay(settings).uid if EngineWay(settings).own_engine else None,
        patch=patch,
        token=bool(patch.get("gateway", {}).get("auth", {}).get("token")),
        nulls=list(nulls(patch, there)),
        kept=existing_state.KEPT,
    )


@deploy("Gateway configuration")
def merge(settings: Settings) -> None:
    """Onboard OpenClaw the first time, and keep the owned keys of openclaw.json."""
    merged(name="Merge the owned keys into openclaw.json", settings=settings)


def _is_reference(value: object) -> bool:
    """Whether `value` is a reference to a secret, which is none itself (docs: gateway/secrets)."""
    return isinstance(value, Mapping) and {"source", "id"} <= value.keys() <= {
        "source",
        "provider",
        "id",
    }


def _shown(dotted: str, value: object) -> str:
    if value is _ABSENT:
        return "absent"
    if _is_reference(value):
        return f"{value['source']}:{value['id']}"  # type: ignore[index]
    scalar = value is None or isinstance(value, bool | int | float)
    if not scalar and secret_names.perhaps(dotted.split(".")[1:]):
        return secret_names.HIDDEN
    if isinstance(value, dict):
        return "{...}"
    return json.dumps(value, ensure_ascii=False)
