"""What a deployment on this machine has left on the private engine, taken away."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

from docker.errors import APIError

from lab import hosts as lab


def from_engine(name: str, sandboxes: Iterable[str]) -> None:
    """Remove a deployment's containers, the sandboxes by their ids, networks, volumes, images."""
    for remove in _removals(name, sandboxes):
        with suppress(APIError):  # it is not there, or somebody else's too
            remove()


def _removals(name: str, sandboxes: Iterable[str]) -> Iterator[Callable[[], Any]]:
    engine = lab.client()
    own: dict[str, Any] = {"label": f"com.docker.compose.project={name}"}
    made: dict[str, Any] = {"label": f"openclaw-pyinfra.deployment={name}"}
    containers = engine.containers.list(all=True, filters=own, ignore_removed=True)
    for identity in [*sandboxes, *(str(one.id) for one in containers)]:
        yield partial(engine.api.remove_container, identity, force=True, v=True)
    networks = [f"^{name}-sandbox-{kind}$" for kind in ("browser", "tools")]
    for network in [*engine.networks.list(filters=own), *engine.networks.list(names=networks)]:
        yield network.remove
    for volume in engine.volumes.list(filters=own):
        yield partial(volume.remove, force=True)
    images = {str(one.id) for one in engine.images.list(filters=made)}
    for image in [*images, f"{name}:local", f"{name}:last-good"]:
        yield partial(engine.images.remove, image, force=True)
