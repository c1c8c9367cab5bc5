"""What a host's engine knows of the toolkit's images."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from shlex import quote
from typing import Any

from operations.base import snapshot
from operations.images import gateway
from operations.images import listing as listing  # what the script reads with `of`
from operations.images.identity import Base
from toolkit import patterns
from toolkit.patterns import MismatchError, matched, matches, shown
from toolkit.settings import Settings

_BASE = rf"[^|]{{1,600}}@({patterns.DIGEST}|{patterns.INPUTS}|{patterns.COMMIT})"
_LABELS = (patterns.INPUTS, _BASE, "[a-z0-9][a-z0-9_-]{0,62}", "sandbox(-[a-z]+)?")
"""The forms of the labels that are asked for."""


@dataclass(frozen=True)
class Image:
    """One of the toolkit's images on a host: its id, tags, and labels.

    `kind` names a sandbox image; it is empty for the gateway's and for base images.
    """

    id: str
    tags: tuple[str, ...]
    inputs: str
    base: str
    deployment: str
    kind: str = ""

    @property
    def base_digest(self) -> str:
        return self.base.rpartition("@")[2]

    @property
    def base_reference(self) -> str:
        return self.base.rpartition("@")[0]


@snapshot.fact("images")
@dataclass(frozen=True)
class Images:
    """The toolkit's images, the digests under which the engine has each registry image that the
    settings want, the ids of images in use, and the commit of the git checkout."""

    images: tuple[Image, ...] = ()
    registry: tuple[tuple[str, str], ...] = ()
    used: frozenset[str] = frozenset()
    commit: str = ""

    @staticmethod
    def script(settings: Settings) -> str:
        return f"""cd {quote(gateway.checkout(settings))} && git rev-parse HEAD | sed 's/^/commit /'
of 'image ' 'pulled ' 'used '"""

    @classmethod
    def parse(cls, lines: list[str]) -> Images:
        images, registry, used, commit = [], [], set(), ""
        for line in lines:
            word, _, rest = line.partition(" ")
            if word == "image":
                images.append(_image(rest))
            elif word == "pulled":
                reference, _, names = rest.partition(" ")
                for name in _strings(names):
                    digest = name.rpartition("@")[2]
                    registry.append((reference, matched(patterns.DIGEST, digest, "a digest")))
            elif word == "used" and rest:  # nothing: what a builder left that began from scratch
                used.add(matched(patterns.DIGEST, rest, "an image's id"))
            elif word == "commit":
                commit = matched(patterns.COMMIT, rest, "a commit")
        return cls(tuple(images), tuple(registry), frozenset(used), commit)

    @property
    def pulled(self) -> tuple[str, ...]:
        """The digests of all registry images that the settings want."""
        return tuple(digest for _, digest in self.registry)

    def digest(self, reference: str) -> str | None:
        """Return the digest under which the engine has a registry image."""
        return next((digest for name, digest in self.registry if name == reference), None)

    def tagged(self, name: str) -> Image | None:
        """Return the image that has a tag."""
        return next((image for image in self.images if name in image.tags), None)

    def superseded(self, deployment: str, kinds: Collection[str]) -> tuple[Image, ...]:
        """Return the images of a deployment, of some kinds, that neither a tag nor a container
        names any more.
        """
        return tuple(
            image
            for image in self.images
            if image.deployment == deployment
            and image.kind in kinds
            and not image.tags
            and image.id not in self.used
        )


def _image(line: str) -> Image:
    """Return an image as the engine describes it; what its labels say in no form of ours counts
    for nothing, since anybody may build upon our images.
    """
    identifier, tags, *labels = line.split("|")
    if len(labels) != len(_LABELS):
        raise MismatchError(f"{shown(line)} does not describe an image")
    known = [
        label if matches(pattern, label := said.strip('"')) else ""
        for pattern, said in zip(_LABELS, labels, strict=True)
    ]
    named = tuple(name for name in _strings(tags) if matches(patterns.IMAGE, name))
    return Image(matched(patterns.DIGEST, identifier, "an image's id"), named, *known)


def _strings(text: str) -> list[str]:
    """Return a list of strings that an engine writes as JSON, empty if it is null."""
    try:
        found = json.loads(text) or []
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise MismatchError(f"{shown(text)} is not a list of names")
    return found


def removal(there: Images, old: Iterable[Image]) -> dict[str, Any]:
    """Return what `prune.sh.j2` removes with images: their ids, and the registry images that they
    were made from, where no other image is.
    """
    gone = list(old)
    kept = {image.base for image in there.images if image not in gone}
    pulled = [image for image in gone if image.base_digest.startswith("sha256:")]
    bases = {image.base: Base(image.base_reference, image.base_digest) for image in pulled}
    return {
        "images": [image.id for image in gone],
        "bases": [base for label, base in sorted(bases.items()) if label not in kept],
    }


def available(base: Base) -> bool:
    """Return whether the current host's engine has a base image, of the right content."""
    known = snapshot.of(Images)
    if base.bootstrapped:
        image = known.tagged(base.reference)
        return image is not None and image.inputs == base.digest
    return base.digest in known.pulled
