"""The private engine by Docker's own SDK."""

from __future__ import annotations

import functools
import io
import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

DATA = Path(os.environ.get("OPENCLAW_LAB_DATA", "/var/lib/openclaw-lab"))
SOCKET = Path(os.environ.get("OPENCLAW_LAB_RUN", "/run/openclaw-lab")) / "docker.sock"
PATIENCE = 1800
"""Seconds that the engine may take for one answer: with a host goes all that it has built."""


class LabError(RuntimeError):
    """The laboratory cannot do what was asked; the message says why."""


def sdk() -> Any:
    """The SDK itself; to import it takes a tenth of a second, which no other verb is to pay."""
    import docker

    return docker


@contextmanager
def named() -> Iterator[None]:
    """What goes wrong between the SDK and the engine is a `LabError`."""
    try:
        yield
    except (sdk().errors.DockerException, OSError) as error:  # OSError: requests' own
        said = getattr(error, "explanation", None) or error
        raise LabError(f"the lab's Docker Engine: {said}") from error


@functools.cache
def client() -> DockerClient:
    """Return the client of the private engine, which has to run."""
    docker = sdk()
    try:
        made = docker.DockerClient(base_url=f"unix://{SOCKET}", version="auto", timeout=PATIENCE)
        return cast("DockerClient", made)
    except docker.errors.DockerException as error:
        raise LabError(f"the lab's Docker Engine does not answer: {error}") from error


def container(name: str) -> Container:
    """Return a container by its name or id."""
    try:
        return client().containers.get(name)
    except sdk().errors.NotFound as error:
        raise LabError(f"the lab has no container {name}") from error


def labelled(label: str = "lab.host", running: bool = False) -> list[Container]:
    """The containers that have a label, `NAME` or `NAME=VALUE`."""
    filters: dict[str, str | list[str] | bool] = {"label": label}
    return client().containers.list(all=not running, filters=filters, ignore_removed=True)


def inside(name: str, script: str, *words: str, check: bool = True) -> str:
    """Run a shell script with words as its arguments in a container; what it printed.

    Raises:
        LabError: with `check`, when it fails.
    """
    try:
        done = container(name).exec_run(["sh", "-c", script, "sh", *words], demux=True)
    except sdk().errors.APIError as error:  # it does not run, or not any more
        if check:
            raise LabError(f"{name}: {error.explanation}") from error
        return ""
    out, err = (
        part.decode(errors="replace") if part else ""
        for part in cast("tuple[bytes, bytes]", done.output)
    )
    if check and done.exit_code:
        raise LabError(f"{name}: {done.exit_code} of {script}: {err.strip()[-2000:]}")
    return out


def put(name: str, files: dict[str, str], directory: str) -> None:
    """Write files into a directory of a container, which need not be there or run."""
    parent, _, last = directory.rpartition("/")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for path, text in files.items():
            member = tarfile.TarInfo(f"{last}/{path}")
            member.size, member.mode = len(text.encode()), 0o644
            archive.addfile(member, io.BytesIO(text.encode()))
    container(name).put_archive(parent or "/", packed.getvalue())


def output(image: str, command: list[str], **options: Any) -> str:
    """Run a command in a container that is removed then; what it printed.

    `options` are those of the SDK's `containers.run`.

    Raises:
        LabError: it failed; the message has what it said.
    """
    try:
        said: bytes = client().containers.run(image, command, remove=True, **options)
    except sdk().errors.ContainerError as error:
        raise LabError(str(error)[-2000:]) from error
    return said.decode(errors="replace")
