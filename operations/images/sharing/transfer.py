"""Gives an image of one host to another: through a registry, where the settings want one and it
does; else only the layers that the other lacks, compressed, through this process.

What has come from a host is kept (see `store`) for all others that want the same image, so that
it is saved, compressed and sent once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from logging import getLogger
from typing import Any

from pyinfra import logger
from pyinfra.api import FunctionCommand
from pyinfra.api.command import PyinfraCommand
from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.host import Host
from pyinfra.api.output import echo

from operations.images import scripts
from operations.images.sharing import by_registry, by_stream, groups, processes
from operations.images.sharing.archive import Archive
from operations.images.sharing.groups import Giver, Group, SharingError
from operations.images.sharing.in_registry import Stored
from operations.images.sharing.processes import ChannelError
from toolkit.settings import Settings

differences = getLogger("pyinfra.differences")
Make = Callable[[], Generator]
There = Callable[[str], str | None]
SAY_SECONDS = 2.0


class Receive(PyinfraCommand):
    """Brings an image of the run from `giver` to a host, and gives it its tag.

    It fails if the host cannot take it. If the giver cannot give it, the group knows; a registry
    from which the host cannot pull is noted in `tried`.
    """

    def __init__(
        self, settings: Settings, group: Group, giver: Giver, probe: str, label: str
    ) -> None:
        super().__init__()
        self.settings, self.group, self.giver = settings, group, giver
        self.probe, self.label = probe, label
        self.tried: list[Stored] = []

    def __repr__(self) -> str:
        return f"Receive({self.group.tag}, {self.giver})"

    def execute(self, state: Any, host: Host, connector_arguments: Any) -> bool:
        environment = dict(connector_arguments.get("_env") or {})
        if isinstance(self.giver, Stored):
            if not self._pull(host, self.giver, environment):
                self.tried.append(self.giver)
            return True
        if self.group.registry and not (self.group.stored or self.group.silent):
            _say(host, f"waits until {self.giver} has pushed it")
        kept = by_registry.pushed(self.group, self.giver)
        if kept and self._pull(host, kept, environment):
            return True
        return self._stream(host, self.giver, environment)

    def _pull(self, host: Host, kept: Stored, environment: dict[str, str]) -> bool:
        started = time.monotonic()
        _say(host, f"pulls it from {kept}")
        try:
            image = by_registry.pull(self.settings, kept, self.group.tag, self.probe, environment)
        except PyinfraError as error:
            logger.warning(f"{host.print_prefix}{self.label}: not from {error}")
            return False
        self.group.has(host, image)
        differences.info(
            f"{host.print_prefix}{self.label}: pulled from {kept} in"
            f" {time.monotonic() - started:.0f} s"
        )
        return True

    def _stream(self, host: Host, giver: Host, environment: dict[str, str]) -> bool:
        started = time.monotonic()
        _say(host, f"asks {giver} for it")
        try:
            kept = by_stream.described(self.group, giver, environment)
        except PyinfraError as error:
            return self._not_given(host, giver, error)
        try:
            lacking = by_stream.lacking(host, kept, self.settings)
        except PyinfraError as error:
            return _refuse(host, f"{self.label}: the engine does not answer: {error}")
        try:
            by_stream.fetch(giver, kept, lacking, environment)
            size = self._load(host, giver, kept, lacking, environment)
        except _Taken as error:
            return _refuse(host, f"{self.label}: {error}")
        except PyinfraError as error:
            return self._not_given(host, giver, error)
        self.group.has(host, kept.image)
        differences.info(
            f"{host.print_prefix}{self.label}: {len(lacking)} of {len(kept.layers)} layers from"
            f" {giver}, {size / 1e6:.1f} MB in {time.monotonic() - started:.0f} s"
        )
        return True

    def _not_given(self, host: Host, giver: Host, error: PyinfraError) -> bool:
        self.group.refuses(giver, str(error))
        self.group.archive = None  # what is half there is fetched anew, from another
        logger.warning(f"{host.print_prefix}{self.label}: {giver} cannot give it: {error}")
        return True

    def _load(
        self,
        host: Host,
        giver: Host,
        kept: Archive,
        lacking: list[int],
        environment: dict[str, str],
    ) -> int:
        script = scripts.render(
            "receive.sh.j2",
            self.settings,
            repository="",
            image=kept.image,
            inputs=kept.inputs,
            tag=self.group.tag,
            probe=self.probe,
        )
        content = kept.content(lacking)
        size, said = 0, time.monotonic()
        given: ChannelError | None = None
        try:
            with processes.process(host, script, environment) as process:
                process.hear()
                while True:
                    try:
                        data = next(content, None)
                    except ChannelError as error:
                        given = error
                        raise
                    if data is None:
                        break
                    process.write(data)
                    size += len(data)
                    if time.monotonic() - said > SAY_SECONDS:
                        said = time.monotonic()
                        _say(host, f"{size / 1e6:.0f} MB received from {giver}")
                process.end()
                _say(host, f"{size / 1e6:.0f} MB received from {giver}; the engine loads it")
                process.finish()
        except ChannelError as error:
            if error is given:
                raise
            raise _Taken(str(error)) from None
        return size


class _Taken(PyinfraError):
    """The receiving host failed, not the giving one."""


def builds(tag: str) -> bool:
    """Return whether the current host is to build the image of a tag by itself; waits if another
    one does.
    """
    group, host = groups.group(tag), groups.this()
    if group is None:
        return True
    if groups.receives(tag):
        return False
    try:
        return not host.state.is_executing or groups.giver(group) is host
    except SharingError:  # `received` reports it
        return False


def built(tags: Sequence[str], make: Make, there: There) -> Generator:
    """Yield the commands that build images on the current host, and tell the other hosts of the
    run how it went.

    + make: returns the commands
    + there: returns the id of a tag's image, if it is the one that is wanted
    """
    concerned = [group for group in map(groups.group, tags) if group]
    host = groups.this()
    try:
        yield from make()
        for group in concerned:
            if image := there(group.tag):
                group.has(host, image)
                if group.registry:
                    yield FunctionCommand(_push, [group], {})
    finally:
        for group in concerned:
            group.fails(host)  # counts only where it has not said that it has the image


def received(
    settings: Settings, tag: str, make: Make, there: There, label: str, probe: str = ""
) -> Generator:
    """Yield the commands that bring a tag's image to the current host from another one of the run,
    or build it where no other has it.

    + make: returns the commands that build it
    + there: returns the id of the tag's image, if it is the one that is wanted
    + label: the image in messages
    + probe: the script that a new image must pass
    """
    host, group = groups.this(), groups.group(tag)
    if group is None:
        return
    if not host.state.is_executing:
        yield Receive(settings, group, host, probe, label)  # who gives it is not known yet
        return
    tried: list[Giver] = []
    while there(tag) is None:
        builder = None if group.sources else group.builder or group.expected
        if builder not in (None, host):
            _say(host, f"waits for {builder}, which builds it")
        try:
            giver = groups.giver(group, tried)
        except SharingError as error:
            yield FunctionCommand(_fail, [f"{label}: {error}"], {})
            return
        if giver is host:
            logger.warning(f"{host.print_prefix}{label}: built here, since no other host has it")
            yield from built([tag], make, there)
            return
        receive = Receive(settings, group, giver, probe, label)
        yield receive
        tried += receive.tried
        if host in group.sources and there(tag) is None:
            yield FunctionCommand(_fail, [f"{label}: {giver} gave another one than wanted"], {})
            return


def _push(state: Any, host: Host, group: Group) -> bool:
    _say(host, f"pushes it to {group.registry}")
    by_registry.pushed(group, host)
    return True


def _fail(state: Any, host: Host, message: str) -> bool:
    return _refuse(host, message)


def _refuse(host: Host, message: str) -> bool:
    logger.error(f"{host.print_prefix}{message}")
    return False


def _say(host: Host, text: str) -> None:
    if host.state.print_output:
        echo(f"{host.print_prefix}{text}", err=True)
