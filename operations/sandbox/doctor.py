"""What keeps a deployment's sandboxes from working, with the way out of it; reads only.

A finding may quote what an agent or the gateway said. Its fix never does: a command in it names
what the settings name, and nothing below the directories of the deployment.
"""

from __future__ import annotations

import json
import posixpath
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, get_args

from pyinfra import host
from pyinfra.api.exceptions import PyinfraError

from operations import devices
from operations.base import snapshot, templates
from operations.base.check import counting
from operations.base.preflight import Problem
from operations.base.waits import waiting
from operations.engine_access import EngineWay
from operations.gateway import form, host_secrets
from operations.images.sandbox import contexts, probes
from operations.sandbox import comparison, running
from operations.sandbox import deployed as deployed_form
from operations.sandbox.proof import scripted_gateway
from operations.sandbox.seen import Examined, Start
from operations.security import stage as security
from toolkit.settings import Settings
from toolkit.settings.sandbox import names

LOOK_SECONDS = 600
"""OpenClaw's own doctor and a container of each image, on a slow machine."""
MISFORMED = "take it out; what is not of its form is not looked at"


def findings(settings: Settings) -> list[Problem]:
    """Return what is wrong on the current host, the causes before what follows from them.

    Starts one container of each sandbox image for a moment, and OpenClaw's own `doctor`.
    """
    try:
        given = deployed_form.of(host_secrets.read(settings).configuration())
    except host_secrets.UnreadableFile as error:
        path = host_secrets.config_path(settings)
        fix = f"mend it, or move the file away: {shlex.join(['mv', path, f'{path}.old'])}"
        return [Problem(f"{path}: {error}", fix)]
    deployed = given.configuration
    try:
        with waiting("OpenClaw's doctor, and a container of each sandbox image"):
            seen = snapshot.ask_several(
                host, script(settings, deployed), Examined.parse, LOOK_SECONDS
            )
    except PyinfraError as error:
        return [Problem(f"the host cannot be looked at: {error}", "./claw up")]
    wrong = [Problem(f"openclaw.json: {what}", MISFORMED, False) for what in given.wrong]
    found = [*wrong, *examine(settings, deployed, seen)]
    if settings.sandbox.enabled and not any(problem.stops for problem in found):
        found += _stale(settings)
    return [replace(problem, what=" ".join(problem.what.split())) for problem in found]


def script(settings: Settings, deployed: Mapping[str, Any]) -> str:
    """Return the script that looks on the host."""
    sandboxes = _sandboxes(settings, deployed) if settings.sandbox.enabled else {}
    state = settings.state_in_gateway
    options = list(probes.options(settings))
    kind: security.Kind = "browser" if settings.sandbox.browser.enabled else "tools"
    for one in security.Profiles(settings, kind).options:
        options.append(f"--security-opt={one.replace(':', '=', 1)}")
    return templates.render(
        "sandbox/doctor.sh.j2",
        docker=form.shell(settings),
        name=settings.name,
        sandboxed=settings.sandbox.enabled,
        images=sorted(
            {image for one in sandboxes.values() for image in scripted_gateway.images(one)}
        ),
        tools=sorted({scripted_gateway.images(one)[0] for one in sandboxes.values()}),
        options=options,
        socket=EngineWay(settings).socket,
        profiles=_profiles(sandboxes),
        workspaces=[*workspaces(settings, deployed).values(), f"{state}/sandboxes"],
        state=state,
        uid=_uid(settings),
    )


def workspaces(settings: Settings, deployed: Mapping[str, Any]) -> dict[str, str]:
    """Return the path of every agent's workspace as the gateway sees it, by agent."""
    agents = deployed.get("agents") or {}
    usual = f"{settings.state_in_gateway}/workspace"
    common = (agents.get("defaults") or {}).get("workspace") or usual
    own = {name: entry.get("workspace") for name, entry in (agents.get("entries") or {}).items()}
    own |= {entry["id"]: entry.get("workspace") for entry in agents.get("list") or []}
    found = {"main": common, **{name: path or common for name, path in own.items()}}
    return {name: path.replace("~", "/home/node", 1) for name, path in found.items()}


def examine(settings: Settings, deployed: Mapping[str, Any], seen: Examined) -> Iterable[Problem]:
    """Yield what is wrong with what was seen."""
    if "." not in seen.engine:
        yield Problem(
            f"the engine does not answer: {seen.engine}",
            "systemctl restart docker && systemctl status docker",
        )
        return
    sandboxes = _sandboxes(settings, deployed) if settings.sandbox.enabled else {}
    if settings.sandbox.enabled and not sandboxes:
        yield Problem("openclaw.json has no sandbox policy", "./claw up")
    yield from _images(settings, sandboxes, seen)
    if not seen.gateway:
        yield Problem("the gateway does not run", "./claw up")
        return
    if settings.sandbox.enabled:
        yield from _client(seen)
        yield from _paths(settings, deployed, sandboxes, seen)
        for path in seen.profiles:
            yield Problem(f"the gateway cannot read the profile {path}", "./claw up")
        yield from _owners(settings, seen)
    yield from devices.problems(seen.devices)
    yield from _release(seen.doctor)


def _images(settings: Settings, sandboxes: Mapping[str, Any], seen: Examined) -> Iterable[Problem]:
    ours = {names.tag(settings.name, kind) for kind in get_args(names.ImageKind)}
    for image in sorted(
        {image for one in sandboxes.values() for image in scripted_gateway.images(one)}
    ):
        if image not in seen.images:
            yield Problem(f"the sandbox image {image} is not on the engine", "./claw up")
    for image in sorted(
        {
            scripted_gateway.images(one)[-1]
            for one in sandboxes.values()
            if scripted_gateway.browsed(one)
        }
    ):
        there = seen.images.get(image)
        if there and there.contract != contexts.CONTRACT:
            is_now = there.contract.replace("<no value>", "") or "missing"
            yield Problem(
                f"the browser image {image} is too old for this OpenClaw: its label "
                f"org.openclaw.sandbox-browser.contract is {is_now}, not {contexts.CONTRACT}",
                f"docker image rm --force {image} && ./claw up"
                if image in ours
                else "make it anew for this OpenClaw, or take it out of openclaw.json",
            )
    for image in sorted({scripted_gateway.images(one)[0] for one in sandboxes.values()}):
        yield from _start(image, seen.starts.get(image, Start()), image in ours)


def _start(image: str, there: Start, ours: bool) -> Iterable[Problem]:
    if there.code is None:
        return
    if there.code != "0":
        words = " ".join(" ".join(there.said).split())[-400:]
        fix = "./claw up"
        if "seccomp" not in words and "apparmor" not in words:
            fix = "it must have sh, sleep and python3"
            if ours:
                fix = f"docker run --rm -it --entrypoint sh {image} ({fix})"
        yield Problem(f"a container of the sandbox image {image} does not start: {words}", fix)
        return
    if "no python3" in there.said:
        yield Problem(
            f"the sandbox image {image} has no python3 in its login shell, and OpenClaw's file "
            "tools need it",
            "add python3 to sandbox.images.minimal.apt_packages, or to your Dockerfile",
        )
    for line in dict.fromkeys(there.said):  # a directory may be looked at twice
        if line.startswith("hidden "):
            _, directory, tool = line.split(" ", 2)
            yield Problem(
                f"the sandbox image {image} has tools in {directory} (such as {tool}) that agents "
                "do not find: OpenClaw runs `sh -lc`, and /etc/profile sets PATH anew",
                "RUN echo 'PATH=DIRECTORY:$PATH' > /etc/profile.d/tools.sh (in the Dockerfile)",
            )


def _client(seen: Examined) -> Iterable[Problem]:
    if seen.client.startswith("server "):
        return
    if seen.client.startswith("no docker"):
        yield Problem(
            "the gateway's image has no docker command line, with which OpenClaw makes sandboxes",
            "./claw up (gateway.source npm and image install it; a git image must bring its own)",
        )
        return
    words = " ".join(seen.client.split())[-300:]
    if (group := seen.socket_group) and group not in seen.groups:
        own = " ".join(seen.groups)
        what = f"the engine's socket belongs to group {group}, the gateway is in {own}"
        yield Problem(f"the gateway may not use the engine: {what}", "./claw up")
    else:
        yield Problem(f"the gateway cannot use the engine: {words}", "./claw up")


def _paths(
    settings: Settings,
    deployed: Mapping[str, Any],
    sandboxes: Mapping[str, Any],
    seen: Examined,
) -> Iterable[Problem]:
    wanted = workspaces(settings, deployed) | {"the state": settings.state_in_gateway}
    for agent, sandbox in sandboxes.items():
        if sandbox.get("workspaceRoot"):
            wanted[f"workspaceRoot of {agent}"] = str(sandbox["workspaceRoot"]).replace(
                "~", "/home/node", 1
            )
    told = set()
    for owner, path in wanted.items():
        mount = max(
            (one for one in seen.mounts if f"{path}/".startswith(f"{one['Destination']}/")),
            key=lambda one: len(one["Destination"]),
            default=None,
        )
        if path in told or (mount and mount["Type"] == "bind"):
            continue
        told.add(path)
        where = f"on a {mount['Type']}" if mount else "in the container alone"
        yield Problem(
            f"{owner}: the engine does not know the gateway's path {path}, which is {where}, and "
            "cannot mount it into a sandbox",
            "mount a directory of the host there: extra_mounts: [HOST_DIRECTORY:THAT_PATH:rw], or "
            "keep it below the state directory",
        )


def _owners(settings: Settings, seen: Examined) -> Iterable[Problem]:
    for owners, uid, path in seen.owners:
        place = _on_host(path, seen.mounts)
        user = settings.sandbox.container.user or "the gateway does"
        yield Problem(
            f"{place} belongs to uid {uid} ({owners}), but tools run as {user}",
            _give_back(settings, place),
        )


def _give_back(settings: Settings, place: str) -> str:
    """Return the command that gives the owner of the state what lies beside `place`.

    An agent may make any of it a link at any moment: find enters none, and chown follows none.
    """
    chown = ["chown", "-h", f"--reference={settings.config_directory}", "{}", "+"]
    for base in (settings.workspace_directory, settings.config_directory):
        if f"{posixpath.normpath(place)}/".startswith(f"{base}/"):
            return shlex.join(["find", base, "-xdev", "-execdir", *chown])
    return "give it to the gateway's user, after a look at what it is"


def _on_host(path: str, mounts: list[dict[str, Any]]) -> str:
    for mount in sorted(mounts, key=lambda one: -len(one["Destination"])):
        if f"{path}/".startswith(f"{mount['Destination']}/"):
            return str(mount["Source"]) + path.removeprefix(mount["Destination"])
    return path


def _release(answer: str) -> Iterable[Problem]:
    """Yield what the release's own `openclaw doctor --json` says."""
    try:
        said = json.loads(answer.strip() or "{}").get("findings", [])
    except (ValueError, AttributeError):
        yield Problem(
            "`openclaw doctor --json` gave no answer that can be read", "./claw logs", False
        )
        return
    for one in counting(said):
        message = str(one.get("message", "")).strip()
        stops = one["severity"] == "error"
        # Its own hints are what the gateway says, and an agent may be the gateway.
        yield Problem(f"OpenClaw's doctor: {message}", "./claw cli -- doctor", stops)


def _stale(settings: Settings) -> Iterable[Problem]:
    for one in running.stale(settings):
        stale = f"stale ({'in use' if one.in_use else 'idle'}): {'; '.join(one.reasons)}"
        what = f"the sandbox {one.name} of {one.agent} is {stale}"
        yield Problem(what, "./claw sandboxes --recreate", stops=False)


def _sandboxes(settings: Settings, deployed: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    found = {agent: comparison.policy(deployed, agent) for agent in workspaces(settings, deployed)}
    return {agent: one for agent, one in found.items() if one.get("mode", "off") != "off"}


def _uid(settings: Settings) -> str:
    """Return the uid of the sandboxes' user where the gateway sees it; '' for the gateway's own."""
    user = (settings.sandbox.container.user or "").split(":")[0]
    return form.of(settings).uid_of(settings, int(user)) if user else ""


def _profiles(sandboxes: Mapping[str, Any]) -> list[str]:
    paths = {(one.get("docker") or {}).get("seccompProfile") for one in sandboxes.values()}
    return sorted(path for path in paths if path)
