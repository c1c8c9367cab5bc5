"""An image on its way through the control machine, in pieces that are fetched once.

A piece is a gzip member that holds one file of the archive that `docker load` reads, so that
members put one after the other are the archive. They are kept in files without a name, which end
with the process: several hosts read them, also those that come later, while they still grow.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from operations.images.sharing.processes import CHUNK, ChannelError
from toolkit.greenlets import Event, RLock

DIRECTORY = "/var/tmp"
"""Where there is room: `/tmp` may be memory."""
SPARE_BYTES = 1 << 30
"""What is left free there, whatever a host gives."""
LONGEST_LAYER = 1 << 37


class Part:
    """The compressed content of one layer; it may still be arriving. `length` is that of the
    content, known before any of it.
    """

    def __init__(self) -> None:
        usable = os.access(DIRECTORY, os.W_OK)
        self._file = tempfile.TemporaryFile(dir=DIRECTORY if usable else None)  # noqa: SIM115
        self._event = Event()
        self.length = 0
        self.size = 0
        self.complete = False
        self.error: str | None = None

    def begin(self, length: int) -> None:
        """Say how long the content is.

        Raises:
            ChannelError: that is longer than any layer.
        """
        if length > LONGEST_LAYER:
            raise ChannelError(f"a layer is said to have {length} bytes")
        self.length = length
        self._grown()

    def write(self, data: bytes) -> None:
        """Take the next bytes.

        Raises:
            ChannelError: there are more than the content can need, or there is no room.
        """
        # gzip makes 5 bytes more of 32 KiB that it cannot compress, and has 18 of its own.
        if self.size + len(data) > self.length + self.length // 1000 + 1024:
            raise ChannelError(f"more came than a layer of {self.length} bytes needs")
        room = os.fstatvfs(self._file.fileno())
        if room.f_bavail * room.f_frsize < SPARE_BYTES + len(data):
            raise ChannelError(f"{DIRECTORY} of this machine has no room for it")
        self._file.write(data)
        self._file.flush()
        self.size += len(data)
        self._grown()

    def end(self, error: str | None = None) -> None:
        """Say that all of it is there, or why it will never be."""
        self.complete, self.error = error is None, error
        self._grown()

    def wait(self) -> None:
        """Wait until the length is known.

        Raises:
            ChannelError: it will not come.
        """
        while not (self.length or self.complete):
            self._await()

    def chunks(self) -> Iterator[bytes]:
        """Yield the content as it comes.

        Raises:
            ChannelError: the rest will not come.
        """
        offset = 0
        while True:
            if offset < self.size:
                data = os.pread(self._file.fileno(), CHUNK, offset)
                offset += len(data)
                yield data
            elif self.complete:
                return
            else:
                self._await()

    def _await(self) -> None:
        if self.error is not None:
            raise ChannelError(self.error)
        self._event.wait()

    def _grown(self) -> None:
        event, self._event = self._event, Event()
        event.set()


class Splitter:
    """Splits a stream of gzip members into parts, one each; what comes behind them is dropped."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._left = list(parts)
        self._member = zlib.decompressobj(wbits=31)
        self._length = 0

    @property
    def done(self) -> bool:
        """Whether all parts are complete."""
        return not self._left

    def feed(self, data: bytes) -> None:
        """Take the next bytes.

        Raises:
            ChannelError: they are no gzip members, or not those of the parts.
        """
        while data and self._left:
            part = self._left[0]
            self._inflate(part, data)
            rest = self._member.unused_data
            part.write(data[: len(data) - len(rest)])
            if self._member.eof:
                if self._length != part.length:
                    raise ChannelError(f"{self._length} bytes came of {part.length}")
                self._left.pop(0).end()
                self._member, self._length = zlib.decompressobj(wbits=31), 0
            data = rest

    def _inflate(self, part: Part, data: bytes) -> None:
        """Count what the bytes hold, a piece at a time, up to more than the part is to have."""
        try:
            while data:
                self._length += len(self._member.decompress(data, CHUNK * 16))
                if self._length > part.length:
                    raise ChannelError(f"more came than the {part.length} bytes of a layer")
                data = self._member.unconsumed_tail
        except zlib.error as error:
            raise ChannelError(f"what came is damaged: {error}") from None

    def end(self) -> None:
        """Say that nothing more comes.

        Raises:
            ChannelError: it is not all there.
        """
        if self._left:
            raise ChannelError("the stream ended too early")


@dataclass
class Archive:
    """What the control machine keeps of an image that it passes on: its id, the digest of its
    inputs, the digests of its layers, what the id is the digest of, and parts by layer.
    """

    image: str
    inputs: str
    layers: list[str]
    configuration: bytes = b""
    parts: dict[int, Part] = field(default_factory=dict)
    lock: RLock = field(default_factory=RLock)

    def content(self, positions: Sequence[int]) -> Iterator[bytes]:
        """Yield the compressed archive, with only some of its layers, as their parts come.

        What names the image comes last: an archive that breaks off holds none.

        Raises:
            ChannelError: a part will not come.
        """
        for position in positions:
            part = self.parts[position]
            part.wait()
            yield gzip.compress(_header(_path(self.layers, position), part.length))
            yield from part.chunks()
            yield gzip.compress(bytes(-part.length % tarfile.BLOCKSIZE))
        name = f"{self.image.rpartition(':')[2]}.json"
        manifest = {
            "Config": name,
            "RepoTags": None,
            "Layers": [_path(self.layers, position) for position in range(len(self.layers))],
        }
        end = io.BytesIO()
        with tarfile.open(fileobj=end, mode="w") as tar:
            for path, data in (
                (name, self.configuration),
                ("manifest.json", json.dumps([manifest]).encode()),
            ):
                entry = tarfile.TarInfo(path)
                entry.size = len(data)
                tar.addfile(entry, io.BytesIO(data))
        yield gzip.compress(end.getvalue())


def missing(layers: Sequence[str], there: Sequence[Sequence[str]]) -> list[int]:
    """Return the positions of the layers that an engine lacks, which has images of the layers
    `there`.

    An engine knows a layer by what is below it, too: only a common beginning counts.
    """
    common = 0
    for other in there:
        length = 0
        for one, same in zip(layers, other, strict=False):
            if one != same:
                break
            length += 1
        common = max(common, length)
    return list(range(common, len(layers)))


def _path(layers: Sequence[str], position: int) -> str:
    return f"{position}-{layers[position].rpartition(':')[2]}.tar"


def _header(path: str, length: int) -> bytes:
    entry = tarfile.TarInfo(path)
    entry.size = length
    return entry.tobuf(tarfile.GNU_FORMAT)
