"""The sandbox settings as one agent has them: its own over those of all agents."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from toolkit.settings.sandbox.model import (
    Sandbox,
    SandboxAgent,
    SandboxBrowser,
    SandboxContainer,
    SandboxTools,
)
from toolkit.settings.section import Section

AnySection = TypeVar("AnySection", bound=Section)


@dataclass(frozen=True)
class View:
    """What is in force for all agents (`name` None) or for one.

    Binds, variables and process limits of an agent come on top of those of all agents, everything
    else replaces them, as OpenClaw does it (docs: gateway/sandboxing).
    """

    name: str | None
    own: SandboxAgent | Sandbox
    mode: str
    scope: str
    workspace_access: str
    workspace_root: str | None
    container: SandboxContainer
    browser: SandboxBrowser
    tools: SandboxTools

    def key(self, path: str) -> str:
        """Return the full key of `container.memory`, say, where its value was given."""
        own: Any = self.own.model_dump(exclude_unset=True)
        for part in path.split("."):
            if part not in own:
                return f"sandbox.{path}"
            own = own[part]
        return f"sandbox.agents.{self.name}.{path}" if self.name else f"sandbox.{path}"

    def has_own(self, path: str) -> bool:
        """Return whether the value at `path` was given for this agent."""
        return self.name is not None and self.key(path).startswith("sandbox.agents.")


def views(sandbox: Sandbox) -> Iterator[View]:
    """Yield what is in force for all agents, then what is for each that differs."""
    yield View(
        None,
        sandbox,
        sandbox.mode,
        sandbox.scope,
        sandbox.workspace_access,
        sandbox.workspace_root,
        sandbox.container,
        sandbox.browser,
        sandbox.tools,
    )
    for name, agent in sandbox.agents.items():
        container = _over(sandbox.container, agent.container)
        yield View(
            name,
            agent,
            agent.mode or sandbox.mode,
            agent.scope or sandbox.scope,
            agent.workspace_access or sandbox.workspace_access,
            agent.workspace_root or sandbox.workspace_root,
            container.model_copy(
                update={
                    "binds": (*sandbox.container.binds, *_given(agent.container, "binds", ())),
                    "environment": {
                        **sandbox.container.environment,
                        **_given(agent.container, "environment", {}),
                    },
                    "ulimits": {
                        **sandbox.container.ulimits,
                        **_given(agent.container, "ulimits", {}),
                    },
                }
            ),
            _over(sandbox.browser, agent.browser),
            _over(sandbox.tools, agent.tools),
        )


def _given(section: Section, name: str, otherwise: Any) -> Any:
    return getattr(section, name) if name in section.model_fields_set else otherwise


def _over(base: AnySection, own: Section) -> AnySection:
    given = {name: getattr(own, name) for name in own.model_fields_set}
    return base.model_copy(update=given)
