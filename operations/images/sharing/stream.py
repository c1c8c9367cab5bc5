"""What the control machine keeps of an image that it passes on, and how that comes from a host."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass, field

from pyinfra.api.host import Host
from pyinfra.context import ctx_host

from operations.images import scripts
from operations.images.sharing import pieces, pipe
from operations.images.sharing.groups import Group
from operations.images.sharing.pieces import Part, Splitter
from operations.images.sharing.pipe import ChannelError
from toolkit import greenlets, patterns
from toolkit.greenlets import RLock
from toolkit.patterns import matches
from toolkit.settings import Settings, settings_for

LOOK_SECONDS = 0.2
LONGEST_BEGINNING = 4 << 20
MOST_LAYERS = 1000


@dataclass
class Store:
    """What the control machine keeps of an image: its id, the digest of its inputs, its layers,
    configuration and parts.
    """

    image: str
    inputs: str
    layers: list[str]
    configuration: bytes = b""
    parts: dict[int, Part] = field(default_factory=dict)
    lock: RLock = field(default_factory=RLock)


def described(group: Group, giver: Host, environment: dict[str, str]) -> Store:
    """Return what is kept of a group's image, asking `giver` for its layers if nothing is."""
    if group.store is None:
        image = group.sources[giver]
        with ctx_host.use(giver):
            script = scripts.render("layers.sh.j2", settings_for(giver), image=image)
        said = pipe.answer(giver, script, environment)
        try:
            layers, inputs = map(json.loads, said.splitlines())
        except (ValueError, RecursionError):
            raise ChannelError(f"it has no image {image}") from None
        if inputs != group.inputs or not _layers(layers):
            raise ChannelError(f"its image {image} is another one than the one that is wanted")
        group.store = group.store or Store(image, group.inputs, layers)
    store: Store = group.store
    return store


def lacking(host: Host, store: Store, settings: Settings) -> list[int]:
    """Return the positions of the layers that the engine of a host lacks."""
    said = pipe.answer(host, scripts.render("layers.sh.j2", settings, image=None), {})
    try:
        lines = [json.loads(line) for line in said.splitlines() if line.startswith("[")]
    except (ValueError, RecursionError):
        lines = [None]
    if not all(map(_layers, lines)):
        raise ChannelError("its engine does not say of which layers its images are")
    return pieces.missing(store.layers, lines)


def _layers(said: object) -> bool:
    """Return whether a host says layers: each is a digest."""
    return (
        isinstance(said, list)
        and len(said) <= MOST_LAYERS
        and all(matches(patterns.DIGEST, one) for one in said)
    )


def fetched(
    giver: Host, store: Store, wanted: list[int], environment: dict[str, str]
) -> dict[int, Part]:
    """Return the parts of the wanted layers; those that nobody has asked for are on their way."""
    with store.lock:
        new = [position for position in wanted if position not in store.parts]
        for position in new:
            store.parts[position] = Part()
        if new or not store.configuration:
            fetching = greenlets.spawn(_fetch, giver, store, new, environment)
            while not (store.configuration or fetching.ready()):
                fetching.join(LOOK_SECONDS)
            if not store.configuration:
                raise ChannelError(fetching.value)
    return {position: store.parts[position] for position in wanted}


def _fetch(
    giver: Host, store: Store, positions: list[int], environment: dict[str, str]
) -> str | None:
    """Bring layers from the giver to their parts; return why it failed."""
    parts = [store.parts[position] for position in positions]
    try:
        settings = settings_for(giver)
        with ctx_host.use(giver):
            script = scripts.render(
                "give.sh.j2",
                settings,
                image=store.image,
                layers=[position + 1 for position in positions],
                directory=f"{settings.project_directory}/images",
            )
        with pipe.process(giver, script, environment) as process:
            process.end()
            configuration, lengths, data = _beginning(process)
            for part, length in zip(parts, lengths, strict=True):
                part.begin(length)
            store.configuration = configuration
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


def _beginning(process: pipe.Process) -> tuple[bytes, list[int], bytes]:
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
