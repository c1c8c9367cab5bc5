"""The gateway's image: its base, its build, and the removal of what it supersedes.

Other modules use:

- `tag(settings)`: the tag under which the gateway's image runs;
- `pending(settings)`: whether `build` is about to move that tag on the current host;
- `build(settings)` and `prune(settings)`: the deploys.
"""

from __future__ import annotations

from pyinfra.api.deploy import deploy

from operations.base import files
from operations.images import definitions, pipeline, planning, preflight
from operations.images.gateway import tag
from operations.images.planning import pending
from toolkit.settings import Settings

__all__ = ["build", "pending", "preflight", "prune", "tag"]
IMAGES = (definitions.GATEWAY,)


@deploy("Images")
def build(settings: Settings) -> None:
    """Build what the gateway runs; nothing that runs is touched."""
    planning.arrange()
    files.directories(
        name="Create the directories of the build contexts",
        paths=definitions.directories(settings, IMAGES),
    )
    files.write(
        name="Write the gateway's build context", files=planning.context_files(settings, IMAGES)
    )
    pipeline.base_made(name="Make the Debian base image", settings=settings)
    pipeline.built(name="Build the gateway image", settings=settings, images=IMAGES)
    pipeline.received(name="Receive the gateway image", settings=settings, images=IMAGES)


@deploy("Superseded images")
def prune(settings: Settings) -> None:
    """Remove superseded images; to be called after a healthy start."""
    pipeline.pruned(name="Remove superseded images", settings=settings, images=IMAGES)
