"""What a new sandbox image must show, in the container in which it will run, before it is used."""

from __future__ import annotations

from collections.abc import Iterable

from operations.base import templates
from operations.engine_access import EngineWay
from operations.images.sandbox import contexts
from operations.security import stage as security
from toolkit.settings import Settings
from toolkit.settings.sandbox.model import CommonImage
from toolkit.settings.sandbox.names import ImageKind

_MINIMAL = {
    "bash": "bash --version",
    "curl": "curl --version",
    "git": "git --version",
    "jq": "jq --version",
    "python3": "python3 -c 'import hashlib, json, ssl, subprocess'",
    "ripgrep": "rg --version",
    "CA bundle": "test -s /etc/ssl/certs/ca-certificates.crt",
    "home": 'touch "$HOME/probe" && rm "$HOME/probe" && [ "$HOME" = "$PWD" ]',
}
_WORKSPACE = "rw,exec,nosuid,nodev,size=64m,uid={},gid={}"
_COMMON = {
    "node": {"node": "node --version", "npm": "npm --version", "npx": "npx --version"},
    "pnpm": {"pnpm": "pnpm --version"},
    "bun": {"bun": "bun --version"},
    "go": {"go": "go version"},
    "rust": {"rustc": "rustc --version", "cargo": "cargo --version"},
    "python": {"pip": "python3 -m pip --version", "venv": "python3 -c 'import ensurepip, venv'"},
    "build_tools": {
        "gcc": "gcc --version",
        "g++": "g++ --version",
        "make": "make --version",
        "pkg-config": "pkg-config --version",
    },
}


def script(settings: Settings, kind: ImageKind) -> str:
    """Return the shell function `probe IMAGE DIRECTORY` that a host runs on a new image.

    It is part of an image's identity: what was probed for something else is probed again.
    """
    browser = kind == "browser"
    profile: security.Kind = "browser" if settings.sandbox.browser.enabled else "tools"
    own = settings.sandbox.seccomp == "own"
    user = EngineWay(settings).tools_user.split(":")
    return templates.render(
        "images/sandbox/probe.sh.j2",
        label=label(kind),
        name=f"{settings.name}-probe-{kind}",
        deployment=settings.name,
        options=list(options(settings)),
        workdir=settings.sandbox.container.workdir,
        workspace=f"{settings.sandbox.container.workdir}:{_WORKSPACE.format(*user)}",
        environment=settings.sandbox.container.environment,
        seccomp=security.seccomp_path(settings.security_directory, profile) if own else None,
        profiles=security.Profiles(settings, profile).digest,
        apparmor=security.Profiles(settings, profile).apparmor,
        checks={} if browser else checks(settings, kind),
        browser=settings.sandbox.browser if browser else None,
        contract=contexts.CONTRACT,
    )


def label(kind: ImageKind) -> str:
    """Return what messages call an image."""
    return f"sandbox image {kind}"


def checks(settings: Settings, kind: ImageKind) -> dict[str, str]:
    """Return the command that shows that a tool works, by tool."""
    chosen = contexts.image(settings, kind)
    found = dict(_MINIMAL)
    if isinstance(chosen, CommonImage):
        for switch, commands in _COMMON.items():
            if getattr(chosen, switch):
                found |= commands
    return found


def options(settings: Settings) -> Iterable[str]:
    """Yield the options with which OpenClaw creates the containers of a sandbox, but the network's.

    Source: the release's `buildSandboxCreateArgs`, whose browser container takes the same ones.
    """
    container = settings.sandbox.container
    yield from ("--init", "--security-opt=no-new-privileges")
    yield f"--user={EngineWay(settings).tools_user}"
    if container.read_only_root:
        yield "--read-only"
    yield from (f"--tmpfs={entry}" for entry in container.tmpfs)
    yield from (f"--cap-drop={name}" for name in container.capabilities_dropped)
    yield from (f"--ulimit={name}={value}" for name, value in container.ulimits.items())
    limits = {
        "--pids-limit": container.pids_limit,
        "--memory": container.memory,
        "--memory-swap": container.memory_swap,
        "--cpus": container.cpus,
    }
    if EngineWay(settings).limits:
        yield from (f"{name}={value}" for name, value in limits.items() if value is not None)
