"""The images of the sandboxes: their builds, and the removal of what they supersede."""

from __future__ import annotations

from pyinfra.api.deploy import deploy

from operations.base import files
from operations.images import definitions, pipeline, planning
from operations.images.definitions import OF_SANDBOXES
from toolkit.settings import Settings


@deploy("Sandbox images")
def build(settings: Settings) -> None:
    """Build what the sandboxes run; nothing that runs is touched."""
    planning.arrange()
    wanted = definitions.wanted(settings, OF_SANDBOXES)
    files.directories(
        name="Create the directories of the sandbox images' build contexts",
        paths=definitions.directories(settings, wanted),
    )
    files.write(
        name="Write the sandbox images' build contexts",
        files=planning.context_files(settings, wanted),
    )
    pipeline.built(name="Build the sandbox images", settings=settings, images=OF_SANDBOXES)
    pipeline.received(name="Receive the sandbox images", settings=settings, images=OF_SANDBOXES)


@deploy("Superseded sandbox images")
def prune(settings: Settings) -> None:
    """Remove superseded sandbox images."""
    pipeline.pruned(name="Remove superseded sandbox images", settings=settings, images=OF_SANDBOXES)


def pending(settings: Settings) -> set[str]:
    """Return the tags of sandbox images that `build` is about to move on the current host."""
    wanted = definitions.wanted(settings, OF_SANDBOXES)
    return {image.tag(settings.name) for image in planning.missing(settings, wanted)}
