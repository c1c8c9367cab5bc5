"""What the engine has, asked once for all facts that want to know of it: each `docker` costs a host
more than all that a fact does beside it, so that the engine's API is asked itself
(https://docs.docker.com/reference/api/engine/), by `templates/images/engine.pl`.

`templates/images/listing.sh.j2` keeps the answers in `$listed`, lines that begin with what they
are; `of PREFIX` prints those of a kind. Nothing is there without an engine that answers.

- `engine NAME=VALUE`: for `operations.engine.state`
- `["image",...]`, `["container",...]`, `["network",...]`: for `operations.gateway.conflicts`
- `image ...`, `pulled ...`, `used ID`: for `operations.images.state`; `wanted_image ID`: that of
  the gateway's tag; `tag TAG ID`, of tags that a run moves
- `own PORTS`: those that a running container of the deployment publishes; `gateway NAME VALUE`: of
  its gateway, for `operations.activation`; `sandbox ID`, of all sandboxes
- `network NAME IPV6 MTU`; `bridge NAME INTERFACE`, of those that are bridges
"""

from __future__ import annotations

from operations import engine_access
from operations.base import snapshot, templates
from operations.images import definitions, gateway, identity
from toolkit.settings import Settings
from toolkit.settings.sandbox import names


@snapshot.before(
    *("apparmor", "engine", "gateway", "images", "network", "occupied", "proof", "sandboxes"),
    *("system", "uplink"),
)
def listing(settings: Settings) -> str:
    references = sorted(definitions.pulled(settings))
    return templates.render(
        "images/listing.sh.j2",
        docker=engine_access.environment(settings),
        program=templates.render("images/engine.pl"),
        project=settings.name,
        label=identity.LABEL,
        tags=tags(settings),
        pulled=[word for one in references for word in (one, familiar(one))],
    )


def tags(settings: Settings) -> list[str]:
    """Return the image tags that a run moves; the first is the gateway's."""
    sandboxes = (names.tag(settings.name, kind) for kind in names.kinds(settings.sandbox))
    return [gateway.tag(settings.name), f"{settings.name}:last-good", *sandboxes]


def familiar(reference: str) -> str:
    """Return a reference as an engine shows it: without Docker Hub's name, and without the tag
    where it names a digest.

    https://pkg.go.dev/github.com/distribution/reference#FamiliarString
    """
    name, at, digest = reference.partition("@")
    short = identity.repository(name) if at else name
    return short.removeprefix("docker.io/").removeprefix("library/") + at + digest
