"""Who of a run builds an image, who receives it, and what of it is sent."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import gevent
import pytest
from pyinfra.api.host import Host
from pyinfra.context import ctx_host

from operations.images.sharing import archive, groups
from operations.images.sharing.archive import Archive, Part, Splitter
from operations.images.sharing.groups import Group, SharingError, Want, grouped
from operations.images.sharing.processes import ChannelError
from toolkit.greenlets import Event, sleep, spawn, wait
from toolkit.settings import Settings

A, B, C = (cast(Host, name) for name in "abc")


def want(host: Host, *accepted: str, has: str | None = None, arch: str = "x86_64") -> Want:
    image = f"sha256:{host}" if has else None
    return Want(host, "openclaw:local", arch, accepted, image, has)


def roles(*wants: Want) -> dict[Host, Host | None]:
    """The host that is planned to build for each host; None where one has the image."""
    found = grouped(wants, choose=lambda one: one.accepted[0])
    return {host: group.expected for host, group in found.items()}


def yes(host: Host) -> bool:
    return True


def no(host: Host) -> bool:
    return False


def group(*members: Host, have: Sequence[Host] = ()) -> Group:
    return Group("openclaw:local", "inputs", list(members), dict.fromkeys(have, "sha256:1"))


def test_the_first_host_builds_for_all_that_want_the_same() -> None:
    assert roles(want(A, "x"), want(B, "x"), want(C, "y")) == {A: A, B: A, C: C}


def test_each_architecture_has_its_own_builder() -> None:
    assert roles(want(A, "x"), want(B, "x", arch="aarch64"), want(C, "x")) == {
        A: A,
        B: B,
        C: A,
    }


def test_what_a_host_has_is_not_built() -> None:
    assert roles(want(A, "x"), want(B, "x", has="x")) == {A: None, B: None}


def test_of_what_it_accepts_a_host_takes_what_another_one_has_or_builds() -> None:
    found = grouped(
        [want(A, "x", "y"), want(B, "x", "y", has="y"), want(C, "y", "x")],
        choose=lambda one: one.accepted[0],
    )
    assert {group.inputs for group in found.values()} == {"y"}


def test_others_wait_for_the_builder_and_then_receive() -> None:
    shared = group(A, B)
    assert shared.next(A, yes, yes) == A
    waiting = gevent.spawn(shared.next, B, yes, yes)
    gevent.sleep(0)
    assert not waiting.ready()
    shared.has(A, "sha256:1")
    assert waiting.get(timeout=10) == A


def test_nobody_waits_for_a_host_that_does_not_come() -> None:
    """It is in a later batch, or its turn is after this one's."""
    shared = group(A, B)
    assert shared.next(B, yes, no) == B
    late = gevent.spawn(shared.next, A, yes, yes)
    gevent.sleep(0)
    assert not late.ready()
    shared.has(B, "sha256:1")
    assert late.get(timeout=10) == B


def test_after_a_failed_builder_another_one_builds_and_then_nobody() -> None:
    shared = group(A, B, C)
    assert shared.next(A, yes, yes) == A
    shared.fails(A)
    assert shared.next(B, yes, yes) == B
    shared.fails(B)
    with pytest.raises(SharingError, match="could not be built on a and b"):
        shared.next(C, yes, yes)
    assert groups.BUILDERS == 2


def test_a_builder_that_was_lost_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "LOOK_SECONDS", 0.01)
    shared, lost = group(A, B), set[Host]()
    assert shared.next(A, yes, yes) == A
    waiting = gevent.spawn(shared.next, B, lambda host: host not in lost, yes)
    gevent.sleep(0)
    assert not waiting.ready()
    lost.add(A)
    assert waiting.get(timeout=10) == B


def test_a_host_that_cannot_give_it_is_not_asked_again() -> None:
    shared = group(C, have=[A, B])
    assert shared.next(C, yes, yes) == A
    shared.refuses(A, "no space left")
    assert shared.next(C, yes, yes) == B
    shared.refuses(B, "no space left")
    assert shared.next(C, yes, yes) == C


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
    assert archive.missing(["a", "b", "c"], there) == sent


def arrived(content: bytes) -> Part:
    part = Part()
    part.begin(len(content))
    Splitter([part]).feed(gzip.compress(content))
    return part


def test_an_archive_holds_the_layers_that_are_sent_and_names_them_all() -> None:
    content = b"layer" * 1000
    made = Archive("sha256:1d", "inputs", ["sha256:aa", "sha256:bb"], b"{}", {1: arrived(content)})
    stream = made.content([1])
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
        (1000, gzip.compress(bytes(50_000_000), mtime=0)),
        (1000, gzip.compress(bytes(999), mtime=0)),
        (0, gzip.compress(b"x", mtime=0)),
        (10, b"\x1f\x8b\x08\x08" + bytes(6) + b"a name without an end" * 1_000_000),
        # Blocks that hold nothing, of which a member may have any number.
        (10, gzip.compress(b"", mtime=0)[:10] + b"\0\0\0\xff\xff" * 1_000_000),
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
    monkeypatch.setattr(archive, "SPARE_BYTES", 1 << 60)
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


def test_a_host_that_comes_second_waits_until_the_groups_are_known(monkeypatch) -> None:
    """All hosts of a run plan at once: what is a group is asked of a registry meanwhile."""
    hosts = [SimpleNamespace(name=name, connector_data={}) for name in "ab"]
    state = SimpleNamespace(inventory=hosts, active_hosts=hosts)
    known, seen = Event(), list[str]()
    for one in hosts:
        one.state = state
    monkeypatch.setattr(groups.preflight, "passed", lambda host: True)
    monkeypatch.setattr(groups.processes, "reachable", lambda host: True)
    monkeypatch.setattr(groups, "settings_for", lambda host: Settings())

    def arrange(*_: Any) -> None:
        known.wait(5)
        seen.append("known")

    monkeypatch.setattr(groups, "_arrange", arrange)

    def plan(one: Any) -> None:
        with ctx_host.use(one):
            groups.arrange([lambda settings: None])
            seen.append(one.name)

    plans = [spawn(plan, one) for one in hosts]
    sleep(0)
    assert seen == []
    known.set()
    wait(plans)
    assert seen == ["known", "a", "b"]
