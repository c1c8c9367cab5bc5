"""Sandbox settings that cannot work together, or that give away what a sandbox is for.

Pure, as `checks`: `problems` refuses, `warnings` only warns. What the host alone knows is checked
by `operations.sandbox`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from toolkit.settings.contradictions import sandbox_mounts
from toolkit.settings.contradictions.mounts import Inconsistency, inside
from toolkit.settings.model import STATE, Settings
from toolkit.settings.sandbox.types import parse_tmpfs, tool_matches
from toolkit.settings.sandbox.view import View, views
from toolkit.settings.types import memory_bytes, parse_mount

WRITING_TOOLS = ("write", "edit", "apply_patch")
_PACKAGES = re.compile(r"(^|[\s;&|(])(apt|apt-get|apk|dnf|yum)\s")
_DOWNLOADS = re.compile(
    r"(^|[\s;&|(])(curl|wget|git (clone|fetch|pull)|(pip3?|pipx|uv|gem|cargo|go|npm|pnpm|bun|yarn)"
    r" (install|i|ci|add|get|fetch))\s"
)
_LIMITS = ("pids_limit", "memory", "cpus")

Check = Callable[["Settings", View], Iterator[Inconsistency]]


def problems(settings: Settings) -> Iterator[Inconsistency]:
    """Yield what keeps the sandboxes of `settings` from working or from holding."""
    if not settings.sandbox.enabled:
        return
    yield from _images(settings)
    yield from _for_all(settings, (_setup, _limits, _tools, _scope, _browser_network))
    yield from _for_all(settings, (_workspace_root, sandbox_mounts.problems))
    agents = settings.openclaw.get("agents")
    if settings.sandbox.agents and isinstance(agents, dict) and "list" in agents:
        yield Inconsistency(
            ("openclaw.agents.list", "sandbox.agents"),
            "is a list, which would replace what sandbox.agents is written to; set `sandbox` and "
            "`tools.sandbox` of the agents in it, or use sandbox.agents",
        )


def warnings(settings: Settings) -> Iterator[str]:
    """Yield `KEY: what to think about`."""
    if settings.sandbox.enabled:
        checks = (_unsandboxed, _weak_container, _contradictions, sandbox_mounts.warnings)
        for found in _for_all(settings, checks):
            yield f"{found.keys[0]}: {found.message}"


def _for_all(settings: Settings, checks: tuple[Check, ...]) -> Iterator[Inconsistency]:
    """Run checks on what all agents have, then on what single ones have otherwise."""
    for view in views(settings.sandbox):
        for check in checks:
            for found in check(settings, view):
                own = f"sandbox.agents.{view.name}."
                if view.name is None or found.keys[0].startswith(own):
                    yield found
                elif any(key.startswith(own) for key in found.keys):
                    yield Inconsistency(found.keys, f"for the agent {view.name}: {found.message}")
                # else it is wrong for all agents, which is said once


def _images(settings: Settings) -> Iterator[Inconsistency]:
    images = settings.sandbox.images
    for name, image in (
        ("minimal", images.minimal),
        ("common", images.common),
        ("browser", images.browser),
    ):
        key = f"sandbox.images.{name}"
        for source in ("image", "dockerfile"):
            given = getattr(image, source) is not None
            if image.source == source and not given:
                yield Inconsistency(
                    (f"{key}.{source}", f"{key}.source"),
                    f"missing; {key}.source: {source} needs it",
                )
            elif given and image.source != source:
                yield Inconsistency(
                    (f"{key}.{source}", f"{key}.source"),
                    f"has no effect without {key}.source: {source}",
                )
        if image.apt_packages and image.source != "build":
            yield Inconsistency(
                (f"{key}.apt_packages", f"{key}.source"),
                f"nothing is added to an image of your own ({key}.source: {image.source}); put "
                "the packages into it",
            )
    if images.common.enabled and images.common.pnpm and not images.common.node:
        yield Inconsistency(
            ("sandbox.images.common.pnpm", "sandbox.images.common.node"),
            "needs sandbox.images.common.node; set both or none",
        )


def _setup(settings: Settings, view: View) -> Iterator[Inconsistency]:
    container, command = view.container, view.container.setup_command
    if command is None or view.mode == "off":
        return
    packages = _PACKAGES.search(f"{command} ")
    if not packages and not _DOWNLOADS.search(f"{command} "):
        return
    reasons = []
    if container.network == "none":
        reasons.append(("container.network", "none leaves it nothing to download from"))
    if packages and container.read_only_root:
        reasons.append(("container.read_only_root", "true keeps it from installing"))
    if packages and not (container.user or "").startswith("0:"):
        reasons.append(("container.user", f"{container.user or 'the default'} is not root"))
    if reasons:
        image = "common" if settings.sandbox.images.common.enabled else "minimal"
        keys = [view.key(path) for path, _ in reasons]
        said = ", ".join(f"{key} {reason}" for key, (_, reason) in zip(keys, reasons, strict=True))
        yield Inconsistency(
            (view.key("container.setup_command"), *keys),
            f"it installs or downloads, and {said}; put what it installs into the image: "
            f"sandbox.images.{image}.apt_packages",
        )


def _limits(settings: Settings, view: View) -> Iterator[Inconsistency]:
    container = view.container
    memory, swap = container.memory, container.memory_swap
    memory_key, swap_key = view.key("container.memory"), view.key("container.memory_swap")
    if swap is not None and memory is None:
        yield Inconsistency((swap_key, memory_key), f"given {swap} without {memory_key}; set both")
    elif memory is not None and swap is not None and memory_bytes(swap) < memory_bytes(memory):
        yield Inconsistency(
            (swap_key, memory_key),
            f"given {swap}, less than {memory_key} ({memory}), which is a part of it; accepted: "
            f"{memory} (no swap) or more",
        )
    tmpfs = sum(parse_tmpfs(entry).size or 0 for entry in container.tmpfs)
    if memory is not None and tmpfs >= memory_bytes(memory):
        yield Inconsistency(
            (memory_key, view.key("container.tmpfs")),
            f"given {memory}: the sizes of {view.key('container.tmpfs')} ({tmpfs >> 20}m together) "
            "count against it; accepted: more than they have together",
        )
    for name in _LIMITS:
        everyone = getattr(settings.sandbox.container, name)
        if view.has_own(f"container.{name}") and getattr(container, name) is None and everyone:
            yield Inconsistency(
                (view.key(f"container.{name}"), f"sandbox.container.{name}"),
                f"none, which would leave the agent with the limit of all agents ({everyone}); "
                "accepted: a limit of its own",
            )


def _tools(settings: Settings, view: View) -> Iterator[Inconsistency]:
    tools, browser = view.tools, view.browser.enabled
    allow_key, deny_key = view.key("tools.allow"), view.key("tools.deny")
    browser_key = view.key("browser.enabled")
    if tools.allow == ():
        yield Inconsistency(
            (allow_key,),
            "an empty list, which OpenClaw takes for every tool; accepted: at least one tool, "
            'or ["*"] for all',
        )
    elif tools.allow is not None and tools.also_allow:
        also_key = view.key("tools.also_allow")
        # An agent's own list of allowed tools is all that it gets.
        if view.name is None or view.has_own("tools.also_allow"):
            yield Inconsistency(
                (also_key, allow_key), f"has no place beside {allow_key}; add the tools there"
            )
    # An agent that has a browser because all have may well be without the tool.
    if browser and (view.name is None or view.has_own("browser.enabled")):
        if tools.deny is not None and tool_matches(tools.deny, "browser"):
            yield Inconsistency(
                (deny_key, browser_key), f"denies `browser`, and {browser_key} is true"
            )
        elif tools.allow and not tool_matches(tools.allow, "browser"):
            yield Inconsistency(
                (allow_key, browser_key),
                f"leaves out `browser`, and {browser_key} is true: the browser would never start",
            )
    if view.workspace_access == "ro":
        access_key = view.key("workspace_access")
        for path, given in (("allow", tools.allow), ("also_allow", tools.also_allow)):
            writing = [tool for tool in given or () if tool in WRITING_TOOLS]
            writing = [tool for tool in writing if not tool_matches(tools.deny or (), tool)]
            if writing:
                yield Inconsistency(
                    (view.key(f"tools.{path}"), access_key),
                    f"allows {', '.join(writing)}, which OpenClaw takes away with {access_key}: "
                    "ro; choose rw, or leave them out",
                )


def _scope(settings: Settings, view: View) -> Iterator[Inconsistency]:
    if view.name is None or view.scope != "shared" or view.mode == "off":
        return
    for section in ("container", "browser", "prune"):
        if getattr(view.own, section).model_fields_set:
            yield Inconsistency(
                (f"sandbox.agents.{view.name}.{section}", view.key("scope")),
                f"has no effect with {view.key('scope')}: shared, where one container serves all "
                "agents; choose agent or session",
            )


def _browser_network(settings: Settings, view: View) -> Iterator[Inconsistency]:
    network, common = view.browser.network, settings.sandbox.browser.network
    if view.browser.enabled and view.has_own("browser.network") and network != common:
        yield Inconsistency(
            (view.key("browser.network"), "sandbox.browser.network"),
            f"given {network or 'none'}: the gateway reaches browsers on the network of all agents "
            "alone; set sandbox.browser.network",
        )


def _workspace_root(settings: Settings, view: View) -> Iterator[Inconsistency]:
    root = view.workspace_root
    mounted = [STATE, *(parse_mount(mount).target for mount in settings.extra_mounts)]
    if root and not any(root == path or inside(root, path) for path in mounted):
        yield Inconsistency(
            (view.key("workspace_root"), "extra_mounts"),
            f"given {root}: the engine has to mount it, and it is on no directory of the host; "
            f"accepted: a path in {STATE} or in the target of one of extra_mounts",
        )


def _unsandboxed(settings: Settings, view: View) -> Iterator[Inconsistency]:
    if view.mode != "all" and (view.name is None or view.has_own("mode")):
        whose = "main sessions run" if view.mode == "non-main" else "this agent runs"
        yield Inconsistency(
            (view.key("mode"),),
            f"{view.mode}: {whose} tools beside the gateway, where its token, its credentials and "
            "the engine's socket are",
        )


def _owners(settings: Settings) -> list[str]:
    """Return the uids of workspaces, as far as the settings tell."""
    own = str(settings.gateway.uid or "the deployment's own uid")
    known = {"rootless": ["1000"], "host": ["1000"], "socket": [own]}
    return known.get(settings.sandbox.socket, [own, "1000"])


def _weak_container(settings: Settings, view: View) -> Iterator[Inconsistency]:
    container, user = view.container, view.container.user
    if view.mode == "off":
        return
    if user is None:
        pass  # whom the workspace belongs to
    elif user.startswith("0:"):
        yield Inconsistency(
            (view.key("container.user"),), f"{user}: tools are root inside of their container"
        )
    elif user.partition(":")[0] not in _owners(settings):
        yield Inconsistency(
            (view.key("container.user"),),
            f"{user}: workspaces belong to {' or '.join(_owners(settings))}, so tools cannot write "
            "there; leave it out for the right one",
        )
    if "ALL" not in container.capabilities_dropped:
        yield Inconsistency(
            (view.key("container.capabilities_dropped"),),
            "without ALL the container has the engine's default capabilities but for these",
        )
    if "nproc" in container.ulimits:
        yield Inconsistency(
            (view.key("container.ulimits"),),
            "nproc counts all processes that this uid has on the host, those of the gateway too; "
            "use pids_limit",
        )
    if container.network == "none":
        for name in ("dns", "extra_hosts"):
            if getattr(container, name):
                yield Inconsistency(
                    (view.key(f"container.{name}"), view.key("container.network")),
                    "has no effect on tools without a network",
                )


def _contradictions(settings: Settings, view: View) -> Iterator[Inconsistency]:
    tools, deny_key = view.tools, view.key("tools.deny")
    denied = tools.deny or ()
    for path, given in (("allow", tools.allow), ("also_allow", tools.also_allow)):
        both = [tool for tool in given or () if "*" not in tool and tool_matches(denied, tool)]
        if both:
            yield Inconsistency(
                (view.key(f"tools.{path}"), deny_key),
                f"{', '.join(both)}: stays denied by {deny_key}, which wins",
            )
    writing = [tool for tool in WRITING_TOOLS if tool_matches(denied, tool)]
    runs = not tool_matches(denied, "exec") and (
        not tools.allow or tool_matches(tools.allow, "exec")
    )
    if writing and runs and view.workspace_access == "rw":
        yield Inconsistency(
            (deny_key, view.key("workspace_access")),
            f"denies {', '.join(writing)}, and `exec` can still write to the workspace",
        )
