"""What a host has told of its sandboxes when it was asked: for the doctor, and for the proof."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Image(NamedTuple):
    """An image of sandboxes, and what its label says of the contract with OpenClaw."""

    id: str = ""
    contract: str = ""


class Start(NamedTuple):
    """What a container of an image said, and the code with which it ended; None: no such image."""

    said: tuple[str, ...] = ()
    code: str | None = None


class Owned(NamedTuple):
    """What is not the tools': `USER:GROUP`, the user's number, and the path."""

    owners: str
    uid: str
    path: str


@dataclass(frozen=True)
class Examined:
    """What `sandbox/doctor.sh.j2` says.

    `groups`: those of the gateway; `client`: what its docker said. `profiles`: those that the
    gateway cannot read. `doctor`, `devices`: OpenClaw's own answers.
    """

    engine: str = ""
    gateway: bool = False
    images: dict[str, Image] = field(default_factory=dict)
    starts: dict[str, Start] = field(default_factory=dict)
    groups: tuple[str, ...] = ()
    client: str = ""
    socket_group: str = ""
    mounts: list[dict[str, Any]] = field(default_factory=list)
    profiles: tuple[str, ...] = ()
    owners: tuple[Owned, ...] = ()
    doctor: str = ""
    devices: str = ""

    @classmethod
    def parse(cls, answers: Mapping[str, str]) -> Examined:
        said = {name: answer.strip() for name, answer in answers.items()}
        groups, _, client = said.get("client", "").partition("\n")
        owners = [line.split(" ", 2) for line in answers.get("owners", "").splitlines()]
        return cls(
            engine=said.get("engine", ""),
            gateway=bool(said.get("gateway")),
            images={
                name: Image(*one.split("|", 1))
                for name, one in _each("image ", said).items()
                if one
            },
            starts={name: _start(one) for name, one in _each("start ", said).items()},
            groups=tuple(groups.split()),
            client=client,
            socket_group=said.get("socket", ""),
            mounts=json.loads(said.get("mounts") or "[]"),
            profiles=tuple(said.get("profiles", "").split()),
            owners=tuple(Owned(*[*one, "", ""][:3]) for one in owners),
            doctor=said.get("doctor", ""),
            devices=said.get("devices", ""),
        )


@dataclass(frozen=True)
class Driven:
    """What `sandbox/proof.sh.j2` says: the turns and the sandboxes as JSON, or why there are none;
    ids of images by tag, texts of profiles by path, where the state was, and what stays behind.
    """

    turns: str = ""
    failed: str = ""
    containers: str = "[]"
    images: dict[str, str] = field(default_factory=dict)
    profiles: dict[str, str] = field(default_factory=dict)
    directory: str = ""
    left: tuple[str, ...] = ()

    @classmethod
    def parse(cls, answers: Mapping[str, str]) -> Driven:
        said = {name: answer.strip() for name, answer in answers.items()}
        images = [line.partition(" ") for line in said.get("images", "").splitlines()]
        profiles = [line.partition(" ") for line in said.get("profiles", "").splitlines()]
        return cls(
            turns=said.get("turns", ""),
            failed=said.get("failed", ""),
            containers=said.get("sandboxes") or "[]",
            images={tag: identifier for tag, _, identifier in images if tag},
            profiles={path: base64.b64decode(text).decode() for path, _, text in profiles},
            directory=said.get("directory", ""),
            left=tuple(said.get("left", "").split()),
        )


def _start(answer: str) -> Start:
    *said, last = answer.splitlines() or [""]
    word, _, code = last.partition(" ")
    return Start(tuple(said), code) if word == "exit" else Start()


def _each(kind: str, said: Mapping[str, str]) -> dict[str, str]:
    return {name.removeprefix(kind): one for name, one in said.items() if name.startswith(kind)}
