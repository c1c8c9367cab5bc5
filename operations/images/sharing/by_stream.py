"""Images from host to host through the control machine: how their layers come from one."""

from __future__ import annotations

import base64
import json
import re

from pyinfra.api.host import Host
from pyinfra.context import ctx_host

from operations.images import scripts
from operations.images.sharing import archive, processes
from operations.images.sharing.archive import Archive, Part, Splitter
from operations.images.sharing.groups import Group
from operations.images.sharing.processes import ChannelError
from toolkit import greenlets, patterns
from toolkit.patterns import matches
from toolkit.settings import Settings, settings_for

LOOK_SECONDS = 0.2
LONGEST_BEGINNING = 4 << 20
MOST_LAYERS = 1000


def described(group: Group, giver: Host, environment: dict[str, str]) -> Archive:
    """Return what is kept of a group's image, asking `giver` for its layers if nothing is."""
    if group.archive is None:
        image = group.sources[giver]
        with ctx_host.use(giver):
            script = scripts.render("layers.sh.j2", settings_for(giver), image=image)
        said = processes.answer(giver, script, environment)
        try:
            layers, inputs = map(json.loads, said.splitlines())
        except (ValueError, RecursionError):
            raise ChannelError(f"it has no image {image}") from None
        if inputs != group.inputs or not _layers(layers):
            raise ChannelError(f"its image {image} is another one than the one that is wanted")
        group.archive = group.archive or Archive(image, group.inputs, layers)
    return group.archive


def lacking(host: Host, kept: Archive, settings: Settings) -> list[int]:
    """Return the positions of the layers that the engine of a host lacks."""
    said = processes.answer(host, scripts.render("layers.sh.j2", settings, image=None), {})
    try:
        lines = [json.loads(line) for line in said.splitlines() if line.startswith("[")]
    except (ValueError, RecursionError):
        lines = [None]
    if not all(map(_layers, lines)):
        raise ChannelError("its engine does not say of which layers its images are")
    return archive.missing(kept.layers, lines)


def _layers(said: object) -> bool:
    """Return whether a host says layers: each is a digest."""
    return (
        isinstance(said, list)
        and len(said) <= MOST_LAYERS
        and all(matches(patterns.DIGEST, one) for one in said)
    )


def fetch(giver: Host, kept: Archive, wanted: list[int], environment: dict[str, str]) -> None:
    """Have the wanted layers on their way, as far as nobody has asked for them before.

    Raises:
        ChannelError: the giver does not begin to give them.
    """
    with kept.lock:
        new = [position for position in wanted if position not in kept.parts]
        for position in new:
            kept.parts[position] = Part()
        if new or not kept.configuration:
            fetching = greenlets.spawn(_fetch, giver, kept, new, environment)
            while not (kept.configuration or fetching.ready()):
                fetching.join(LOOK_SECONDS)
            if not kept.configuration:
                raise ChannelError(fetching.value)


def _fetch(
    giver: Host, kept: Archive, positions: list[int], environment: dict[str, str]
) -> str | None:
    """Bring layers from the giver to their parts; return why it failed."""
    parts = [kept.parts[position] for position in positions]
    try:
        settings = settings_for(giver)
        with ctx_host.use(giver):
            script = scripts.render(
                "give.sh.j2",
                settings,
                image=kept.image,
                layers=[position + 1 for position in positions],
                directory=f"{settings.project_directory}/images",
            )
        with processes.process(giver, script, environment) as process:
            process.end()
            configuration, lengths, data = _beginning(process)
            for part, length in zip(parts, lengths, strict=True):
                part.begin(length)
            kept.configuration = configuration
            splitter = Splitter(parts)
            splitter.feed(data)
            while not splitter.done and (data := process.read()):
                splitter.feed(data)
            if not splitter.done:
                process.finish()
            splitter.end()
    except Exception as error:  # whoever waits for a part must learn of it
        reason = str(error) or type(error).__name__
        for part in parts:
            if not part.complete:
                part.end(reason)
        return reason
    return None


def _beginning(process: processes.Process) -> tuple[bytes, list[int], bytes]:
    """Return an image's configuration, the lengths of layers, and what has come behind them."""
    data = b""
    while data.count(b"\n") < 2:
        more = process.read()
        if not more:
            process.finish()
            raise ChannelError("it gave nothing")
        data += more
        if len(data) > LONGEST_BEGINNING:
            raise ChannelError("it gives no image")
    configuration, lengths, rest = data.split(b"\n", 2)
    if not re.fullmatch(rb"(\d{1,15} ?)*", lengths):
        raise ChannelError("it does not say how long the layers are")
    try:
        return base64.b64decode(configuration, validate=True), list(map(int, lengths.split())), rest
    except ValueError:
        raise ChannelError("it gives no image's configuration") from None
