"""What is asked of another release before it comes: that it is later than the one that runs, and
that what it breaks is known.

The upgrade itself is what `deploy.py` does with another `gateway.version`, whoever gives it.
"""

from __future__ import annotations

from collections.abc import Iterable
from weakref import WeakSet

from pyinfra import host
from pyinfra.api.state import State

from operations import activation
from operations.base import preflight
from operations.base.answers import printable
from operations.base.preflight import Problem
from toolkit import lockfile, patterns
from toolkit.settings import Settings
from toolkit.settings.sources.layers import OVERRIDE, inventory_layers, merge
from toolkit.settings.sources.resolve import layers_of
from toolkit.settings.upgrade import BREAKING

_VERSION = ("gateway", "version")
_upgrades: WeakSet[State] = WeakSet()


def choose(state: State) -> None:
    """Have a run be an upgrade: to no release below the one that runs, and to one that the next
    run keeps."""
    _upgrades.add(state)


def earlier(release: str, than: str) -> bool:
    """Return whether a release is before another one."""
    return patterns.numbers(release) < patterns.numbers(than)


def newest_known() -> str:
    """Return the newest release that the locks of this run know; '' where they know none."""
    return max(lockfile.read().releases, key=patterns.numbers, default="")


@preflight.check
def problems(settings: Settings) -> Iterable[Problem]:
    wanted, there = settings.gateway.version, activation.running().version
    before = there if patterns.matches(patterns.VERSION, there) else ""
    if host.state in _upgrades:
        yield from _of_upgrade(settings, before)
    if settings.gateway.source == "npm" and before:
        yield from _breaking(settings, before, wanted)


def _of_upgrade(settings: Settings, before: str) -> Iterable[Problem]:
    wanted, given = settings.gateway.version, layers_of(host).origin(_VERSION)
    if settings.gateway.source != "npm":
        names = {"image": "gateway.image", "git": "gateway.ref"}
        yield Problem(
            f"gateway.source is {settings.gateway.source}: no release is installed here",
            f"put another {names[settings.gateway.source]} into the inventory, then ./claw up",
        )
        return
    if before and earlier(wanted, before):
        yield Problem(
            f"{wanted} is below {before}, which runs here and whose state it cannot read",
            "./claw rollback lists what can be gone back to, with its state",
        )
    inventory = merge(inventory_layers(host))
    named = inventory.data.get("gateway", {}).get("version")
    if given == OVERRIDE and named is not None and str(named) != wanted:
        # The next `./claw up` would go by the inventory.
        yield Problem(
            f"{inventory.origin(_VERSION)} says gateway.version {printable(str(named))}",
            f'put "{wanted}" there, then ./claw upgrade without a release',
        )
    default = Settings().gateway.version
    if given == OVERRIDE and named is None and wanted != default:
        yield Problem(
            f"no inventory names {wanted}; the next ./claw up would want {default}",
            f'gateway: {{version: "{wanted}"}} in the inventory (./claw init makes one) keeps it',
            stops=False,
        )
    if given is None and earlier(wanted, newest := newest_known()):
        yield Problem(
            f"{wanted} is the toolkit's own; {lockfile.location()} knows {newest}, too",
            f"name it to have that one: ./claw upgrade TARGET {newest}",
            stops=False,
        )


def _breaking(settings: Settings, before: str, wanted: str) -> Iterable[Problem]:
    known = settings.upgrade.acknowledged
    for release, what in BREAKING.items():
        crossed = earlier(before, release) and not earlier(wanted, release)
        if crossed and (known is None or earlier(known, release)):
            yield Problem(
                f"from {before} to {wanted} is across {release}: {what}",
                f'if that is meant: upgrade: {{acknowledged: "{release}"}} in the inventory',
            )
