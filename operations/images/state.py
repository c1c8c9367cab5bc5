"""What a host's engine knows of the toolkit's images."""

from __future__ import annotations

import json
from dataclasses import dataclass
from shlex import quote

from operations import access, snapshot
from operations.images import identity
from toolkit import lock, releases
from toolkit.lock import LockError
from toolkit.settings import Settings


@dataclass(frozen=True)
class Image:
    """One of the toolkit's images on a host: its id, tags, and labels."""

    id: str
    tags: tuple[str, ...]
    inputs: str
    base: str
    deployment: str

    @property
    def base_digest(self) -> str:
        return self.base.rpartition("@")[2]

    @property
    def base_reference(self) -> str:
        return self.base.rpartition("@")[0]


@dataclass(frozen=True)
class Images:
    """The toolkit's images, the digests under which the engine has the registry image that the
    settings want, the ids of images in use, and the commit of the git checkout."""

    images: tuple[Image, ...] = ()
    pulled: tuple[str, ...] = ()
    used: frozenset[str] = frozenset()
    commit: str = ""

    @classmethod
    def parse(cls, text: str) -> Images:
        images, pulled, used, commit = [], [], set(), ""
        for line in text.splitlines():
            word, _, rest = line.partition(" ")
            if word == "image":
                identifier, tags, *labels = rest.split("|")
                known = ["" if label == "<no value>" else label for label in labels]
                images.append(Image(identifier, tuple(json.loads(tags) or ()), *known))
            elif word == "pulled":
                pulled += [name.rpartition("@")[2] for name in json.loads(rest) or ()]
            elif word == "used":
                used.add(rest)
            elif word == "commit":
                commit = rest
        return cls(tuple(images), tuple(pulled), frozenset(used), commit)

    def tagged(self, name: str) -> Image | None:
        """Return the image that has a tag."""
        return next((image for image in self.images if name in image.tags), None)

    def superseded(self, deployment: str) -> tuple[Image, ...]:
        """Return the images of a deployment that neither a tag nor a container names any more."""
        return tuple(
            image
            for image in self.images
            if image.deployment == deployment and not image.tags and image.id not in self.used
        )


@snapshot.probe("images")
def images_probe(settings: Settings) -> str:
    labels = (identity.INPUTS, identity.BASE, identity.DEPLOYMENT)
    columns = ["{{.Id}}", "{{json .RepoTags}}"]
    columns += [f'{{{{index .Config.Labels "{label}"}}}}' for label in labels]
    reference = base_reference(settings)
    lines = [
        f"git -C {quote(checkout(settings))} rev-parse HEAD | sed 's/^/commit /'",
        access.environment(settings),
        '[ -S "${DOCKER_HOST#unix://}" ] || exit 0',
        f"ids=$(docker image ls --quiet --no-trunc --filter label={identity.INPUTS} | sort -u)",
        f"[ -z \"$ids\" ] || docker image inspect --format 'image {'|'.join(columns)}' $ids",
        f"own=label={identity.DEPLOYMENT}={settings.name}",
        'if [ -n "$(docker image ls --quiet --filter dangling=true --filter $own)" ]; then',
        "  ids=$(docker ps --all --quiet --no-trunc)",
        "  [ -z \"$ids\" ] || docker inspect --format 'used {{.Image}}' $ids",
        "fi",
    ]
    if reference:
        pulled = "docker image inspect --format 'pulled {{json .RepoDigests}}'"
        lines.append(f"{pulled} {quote(reference)}")
    return "\n".join(lines)


def current() -> Images:
    """Return what the snapshot of the current host knows of its images."""
    return Images.parse(snapshot.read().get("images", ""))


def base_reference(settings: Settings) -> str | None:
    """Return the reference of the registry image that the gateway may be built on."""
    gateway = settings.gateway
    try:
        known = lock.read()
        if gateway.source == "image":
            return identity.image_base(settings, known).pinned
        if gateway.source == "npm" and settings.base_images != "bootstrap":
            release = known.releases.get(gateway.version) or releases.resolve(gateway.version)
            return identity.node_base(settings, release, known).pinned
    except LockError:  # the preflight reports it
        pass
    return None


def checkout(settings: Settings) -> str:
    """Return where a git checkout is on the host."""
    return f"{directory(settings)}/source"


def directory(settings: Settings) -> str:
    """Return the gateway's directory for build contexts on the host."""
    return f"{settings.project_directory}/images/gateway"
