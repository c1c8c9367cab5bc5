"""Who of a run builds an image, who receives it, and what of it is sent."""

from __future__ import annotations

import gzip
import io
import json
import tarfile

import gevent
import pytest

from operations.images.sharing import groups, pieces
from operations.images.sharing.groups import Group, SharingError, Want, grouped
from operations.images.sharing.pieces import Part, Splitter
from operations.images.sharing.pipe import ChannelError


def want(host: str, *accepted: str, has: str | None = None, arch: str = "x86_64") -> Want:
    image = f"sha256:{host}" if has else None
    return Want(host, "openclaw:local", arch, accepted, image, has)


def roles(*wants: Want) -> dict[str, str | None]:
    """The host that is planned to build for each host; None where one has the image."""
    found = grouped(wants, choose=lambda one: one.accepted[0])
    return {str(host): group.expected for host, group in found.items()}


def yes(host: object) -> bool:
    return True


def no(host: object) -> bool:
    return False


def group(*members: str, **sources: str) -> Group:
    return Group("openclaw:local", "inputs", list(members), dict(sources))


def test_the_first_host_builds_for_all_that_want_the_same() -> None:
    assert roles(want("a", "x"), want("b", "x"), want("c", "y")) == {"a": "a", "b": "a", "c": "c"}


def test_each_architecture_has_its_own_builder() -> None:
    assert roles(want("a", "x"), want("b", "x", arch="aarch64"), want("c", "x")) == {
        "a": "a",
        "b": "b",
        "c": "a",
    }


def test_what_a_host_has_is_not_built() -> None:
    assert roles(want("a", "x"), want("b", "x", has="x")) == {"a": None, "b": None}


def test_of_what_it_accepts_a_host_takes_what_another_one_has_or_builds() -> None:
    found = grouped(
        [want("a", "x", "y"), want("b", "x", "y", has="y"), want("c", "y", "x")],
        choose=lambda one: one.accepted[0],
    )
    assert {group.inputs for group in found.values()} == {"y"}


def test_others_wait_for_the_builder_and_then_receive() -> None:
    shared = group("a", "b")
    assert shared.next("a", yes, yes) == "a"
    waiting = gevent.spawn(shared.next, "b", yes, yes)
    gevent.sleep(0)
    assert not waiting.ready()
    shared.has("a", "sha256:1")
    assert waiting.get(timeout=10) == "a"


def test_nobody_waits_for_a_host_that_does_not_come() -> None:
    """It is in a later batch, or its turn is after this one's."""
    shared = group("a", "b")
    assert shared.next("b", yes, no) == "b"
    late = gevent.spawn(shared.next, "a", yes, yes)
    gevent.sleep(0)
    assert not late.ready()
    shared.has("b", "sha256:1")
    assert late.get(timeout=10) == "b"


def test_after_a_failed_builder_another_one_builds_and_then_nobody() -> None:
    shared = group("a", "b", "c")
    assert shared.next("a", yes, yes) == "a"
    shared.fails("a")
    assert shared.next("b", yes, yes) == "b"
    shared.fails("b")
    with pytest.raises(SharingError, match="could not be built on a and b"):
        shared.next("c", yes, yes)
    assert groups.BUILDERS == 2


def test_a_builder_that_was_lost_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "LOOK_SECONDS", 0.01)
    shared, lost = group("a", "b"), set[str]()
    assert shared.next("a", yes, yes) == "a"
    waiting = gevent.spawn(shared.next, "b", lambda host: host not in lost, yes)
    gevent.sleep(0)
    assert not waiting.ready()
    lost.add("a")
    assert waiting.get(timeout=10) == "b"


def test_a_host_that_cannot_give_it_is_not_asked_again() -> None:
    shared = group("c", a="sha256:1", b="sha256:1")
    assert shared.next("c", yes, yes) == "a"
    shared.refuses("a", "no space left")
    assert shared.next("c", yes, yes) == "b"
    shared.refuses("b", "no space left")
    assert shared.next("c", yes, yes) == "c"


@pytest.mark.parametrize(
    ("there", "sent"),
    [
        ([], [0, 1, 2]),
        ([["x"]], [0, 1, 2]),
        ([["a", "x"], ["a", "b"], ["a"]], [2]),
        ([["b", "c"]], [0, 1, 2]),  # a layer counts only on top of the same ones
        ([["a", "b", "c", "d"]], []),
    ],
)
def test_only_layers_that_are_lacking_are_sent(there: list[list[str]], sent: list[int]) -> None:
    assert pieces.missing(["a", "b", "c"], there) == sent


def arrived(content: bytes) -> Part:
    part = Part()
    part.begin(len(content))
    Splitter([part]).feed(gzip.compress(content))
    return part


def test_an_archive_holds_the_layers_that_are_sent_and_names_them_all() -> None:
    content = b"layer" * 1000
    stream = pieces.archive("sha256:1d", b"{}", ["sha256:aa", "sha256:bb"], {1: arrived(content)})
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(b"".join(stream)))) as tar:
        names = tar.getnames()
        (manifest,) = json.load(tar.extractfile("manifest.json") or io.BytesIO())
        assert names == ["1-bb.tar", "1d.json", "manifest.json"]
        assert manifest["Layers"] == ["0-aa.tar", "1-bb.tar"] and manifest["Config"] == "1d.json"
        layer = tar.extractfile("1-bb.tar")
        assert layer and layer.read() == content


def test_a_layer_is_passed_on_while_it_arrives() -> None:
    part = Part()
    reader = part.chunks()
    part.begin(10)
    part.write(b"one")
    assert next(reader) == b"one"
    rest = gevent.spawn(lambda: b"".join(reader))
    gevent.sleep(0)
    part.write(b"two")
    part.end()
    assert rest.get(timeout=10) == b"two"


def test_a_stream_is_split_wherever_it_is_cut() -> None:
    contents = [bytes(5000), b"second", b""]
    stream = b"".join(gzip.compress(content) for content in contents) + b"Goodbye!\n"
    for size in (1, 7, len(stream)):
        parts = [part_of(len(content)) for content in contents]
        splitter = Splitter(parts)
        for start in range(0, len(stream), size):
            splitter.feed(stream[start : start + size])
        splitter.end()
        read = [gzip.decompress(b"".join(part.chunks())) for part in parts]
        assert read == contents and all(part.complete for part in parts)


def part_of(length: int) -> Part:
    part = Part()
    part.begin(length)
    return part


@pytest.mark.parametrize(
    ("length", "given"),
    [
        (1000, gzip.compress(bytes(50_000_000))),
        (1000, gzip.compress(bytes(999))),
        (0, gzip.compress(b"x")),
        (10, b"\x1f\x8b\x08\x08" + bytes(6) + b"a name without an end" * 1_000_000),
        # Blocks that hold nothing, of which a member may have any number.
        (10, gzip.compress(b"")[:10] + b"\0\0\0\xff\xff" * 1_000_000),
    ],
)
def test_what_is_not_as_long_as_was_said_is_refused_before_it_fills_the_disk(
    length: int, given: bytes
) -> None:
    part = part_of(length)
    with pytest.raises(ChannelError, match=r"came (than|of)"):
        splitter = Splitter([part])
        for start in range(0, len(given), 1 << 16):
            splitter.feed(given[start : start + (1 << 16)])
    assert part.size < 100_000


def test_what_a_part_takes_is_limited_whoever_writes_it() -> None:
    part = part_of(10_000)
    part.write(bytes(11_000))
    with pytest.raises(ChannelError, match="more came than a layer of 10000 bytes needs"):
        part.write(bytes(100))
    assert part.size == 11_000


def test_a_length_that_no_layer_has_and_a_disk_without_room_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(ChannelError, match="is said to have"):
        part_of(10**15)
    monkeypatch.setattr(pieces, "SPARE_BYTES", 1 << 60)
    with pytest.raises(ChannelError, match="no room"):
        Splitter([part_of(5)]).feed(gzip.compress(b"12345"))


def test_a_stream_that_breaks_off_or_is_damaged_is_refused() -> None:
    with pytest.raises(ChannelError, match="damaged"):
        Splitter([part_of(5)]).feed(b"not gzip at all")
    splitter = Splitter([part_of(5)])
    splitter.feed(gzip.compress(b"layer")[:-3])
    with pytest.raises(ChannelError, match="ended too early"):
        splitter.end()


def test_who_reads_a_broken_part_learns_why() -> None:
    part = Part()
    part.begin(10)
    part.write(b"some")
    part.end("the connection broke")
    reader = part.chunks()
    assert next(reader) == b"some"
    with pytest.raises(ChannelError, match="the connection broke"):
        next(reader)
