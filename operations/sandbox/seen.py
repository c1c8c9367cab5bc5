"""What a host has told of its sandboxes when it was asked: for the doctor, and for the proof."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Examined:
    """What `sandbox/doctor.sh.j2` says.

    `images`: of each, `ID|CONTRACT`; `starts`: what its container said, and the line `exit CODE`.
    `client`: the gateway's groups, and what its docker said. `owners`: `OWNERS UID PATH` of what
    is not the tools'. `profiles`: those that the gateway cannot read. `doctor`: OpenClaw's own.
    """

    engine: str = ""
    gateway: bool = False
    images: dict[str, str] = field(default_factory=dict)
    starts: dict[str, str] = field(default_factory=dict)
    client: str = ""
    socket_group: str = ""
    mounts: list[dict[str, Any]] = field(default_factory=list)
    profiles: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    doctor: str = ""

    @classmethod
    def parse(cls, answers: Mapping[str, str]) -> Examined:
        said = {name: answer.strip() for name, answer in answers.items()}
        return cls(
            engine=said.get("engine", ""),
            gateway=bool(said.get("gateway")),
            images=_each("image ", said),
            starts=_each("start ", said),
            client=said.get("client", ""),
            socket_group=said.get("socket", ""),
            mounts=json.loads(said.get("mounts") or "[]"),
            profiles=tuple(said.get("profiles", "").split()),
            owners=tuple(answers.get("owners", "").splitlines()),
            doctor=said.get("doctor", ""),
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


def _each(kind: str, said: Mapping[str, str]) -> dict[str, str]:
    return {name.removeprefix(kind): one for name, one in said.items() if name.startswith(kind)}
