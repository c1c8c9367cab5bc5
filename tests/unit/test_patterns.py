"""What a host, a registry or a lock file says is matched before anyone uses it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pyinfra.api.exceptions import PyinfraError

from operations.images import scripts
from operations.images.sharing import by_registry, by_stream, in_registry, processes
from operations.images.sharing.archive import Archive
from operations.images.sharing.groups import Group
from operations.images.state import Images
from toolkit import lockfile, oci, patterns
from toolkit.lockfile import LockError
from toolkit.patterns import MismatchError
from toolkit.settings import Settings

EVIL = "$(touch X)'; touch X; '\x1b]52;c;eA==\x07"
DIGEST, OTHER, INPUTS, COMMIT = "sha256:" + "1" * 64, "sha256:" + "2" * 64, "3" * 64, "4" * 40
NEARLY = (EVIL, "", DIGEST + "\n", DIGEST.upper(), DIGEST[:-1], "../" + DIGEST, None, 1, [DIGEST])


@pytest.mark.parametrize("said", NEARLY)
def test_what_is_only_nearly_of_a_form_is_not(said: Any) -> None:
    with pytest.raises(MismatchError) as error:
        patterns.matched(patterns.DIGEST, said, "a digest")
    assert "\x1b" not in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    "path", ["/a/../b", "/..", "/a/.", "a", "/a\nb", "/a'b", "/$(x)", "/a\x9bb"]
)
def test_a_path_is_absolute_and_leads_nowhere_else(path: str) -> None:
    assert patterns.matches(patterns.PATH, "/srv/a..b/.c d;e")
    assert not patterns.matches(patterns.PATH, path)


def test_a_release_is_later_than_its_betas_and_its_correction_later_still() -> None:
    order = ["", "2026.9.5", "2026.9.6-alpha.9", "2026.9.6", "2026.9.6-1", "2026.10.1-beta.1"]
    known = [patterns.numbers(one) for one in order]
    assert known == sorted(known)
    assert patterns.numbers("2026.9.6-beta.2") < patterns.numbers("2026.9.6-beta.10")


# The lock


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / lockfile.NAME
    monkeypatch.setattr(lockfile, "location", lambda: path)
    return path


def entries(version: str = "1.2.3", **more: Any) -> dict[str, Any]:
    known = lockfile.read().releases["2026.9.6"].model_dump()
    return {
        "releases": {version: known | more},
        "images": {"registry.example/a:1": DIGEST},
        "repositories": {"https://git.example/a.git#main": COMMIT},
        "tools": {"mine": lockfile.read().tools["pnpm"].model_dump()},
    }


BAD: list[Callable[[dict[str, Any]], Any]] = [
    lambda all: all["releases"].update({EVIL: all["releases"]["1.2.3"]}),
    lambda all: all["releases"]["1.2.3"].update(resolved=EVIL),
    lambda all: all["releases"]["1.2.3"].update(engines=EVIL),
    lambda all: all["releases"]["1.2.3"].update(openclaw=EVIL),
    lambda all: all["releases"]["1.2.3"]["node"].update(version=EVIL),
    lambda all: all["releases"]["1.2.3"]["node"].update(x64=EVIL),
    lambda all: all["releases"]["1.2.3"]["npm"].update(version=EVIL),
    lambda all: all["releases"]["1.2.3"]["npm"].update(integrity=EVIL),
    lambda all: all["images"].update({EVIL: DIGEST}),
    lambda all: all["images"].update({"a:1": EVIL}),
    lambda all: all["images"].update({"a:1": DIGEST + "\n"}),
    lambda all: all["repositories"].update({f"https://git.example/{EVIL}#main": COMMIT}),
    lambda all: all["repositories"].update({"https://git.example/a#main": EVIL}),
    lambda all: all["repositories"].update({"https://git.example/a#main": "--upload-pack=x"}),
    lambda all: all["tools"].update({EVIL: all["tools"]["mine"]}),
    lambda all: all["tools"]["mine"].update(version=EVIL),
]


@pytest.mark.parametrize("spoil", BAD)
def test_no_field_of_the_lock_is_believed(own: Path, spoil: Callable[[Any], Any]) -> None:
    good = entries()
    own.write_text(json.dumps(good))
    assert lockfile.read().images == good["images"]
    own.unlink()
    spoil(good)
    for write in (lockfile.add, lockfile.record):
        with pytest.raises(LockError) as error:
            write(**good)
        assert "\x1b" not in str(error.value)
        assert not own.exists()
    own.write_text(json.dumps(good))
    with pytest.raises(LockError) as error:
        lockfile.read()
    assert "\x1b" not in str(error.value)


def test_a_hosts_word_adds_to_the_lock_and_replaces_nothing(own: Path) -> None:
    lockfile.record(images={"a:1": DIGEST}, repositories={"/srv/a#main": COMMIT})
    shipped = next(iter(lockfile.read().releases.items()))
    another = shipped[1].model_copy(update={"resolved": "2020-01-01T00:00:00Z"})
    scripts.record(images={"a:1": OTHER, "b:1": OTHER}, repositories={"/srv/a#main": "5" * 40})
    scripts.record(releases={shipped[0]: another})
    found = lockfile.read()
    assert found.images == {"a:1": DIGEST, "b:1": OTHER}
    assert found.repositories == {"/srv/a#main": COMMIT}
    assert found.releases[shipped[0]] == shipped[1]
    lockfile.record(images={"a:1": OTHER})  # the operator's word
    assert lockfile.read().images["a:1"] == OTHER


# A host's engine


@pytest.mark.parametrize(
    "line",
    [
        f"image {EVIL}|[]|{INPUTS}|a:1@{DIGEST}|openclaw|",
        f"image {DIGEST}|{{|{INPUTS}|a:1@{DIGEST}|openclaw|",
        f"image {DIGEST}|[1]|{INPUTS}|a:1@{DIGEST}|openclaw|",
        f"image {DIGEST}|[]",
        f'pulled a:1 ["a@{EVIL}"]',
        'pulled a:1 {"a": 1}',
        f"used {EVIL}",
        f"commit {EVIL}",
        "commit --upload-pack=x",
    ],
)
def test_what_an_engine_says_of_images_is_matched(line: str) -> None:
    with pytest.raises(MismatchError):
        Images.parse([line])


def test_labels_of_another_form_say_nothing() -> None:
    (image,) = Images.parse(
        [f'image {DIGEST}|["a:1", "{"a b"}"]|{EVIL}|a@{EVIL}|{EVIL}|{EVIL}']
    ).images
    assert image.tags == ("a:1",)
    assert (image.inputs, image.base, image.deployment, image.kind) == ("", "", "", "")


class Giver:
    name, print_prefix = "giver", ""


def group(**more: Any) -> Any:
    giver: Any = Giver()
    made = Group("openclaw:local", INPUTS, sources={giver: DIGEST}, architecture="x86_64", **more)
    return made, giver


def answering(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "answer", lambda *_: said)
    monkeypatch.setattr(scripts, "render", lambda *_, **__: "")
    for module in (by_stream, by_registry):
        monkeypatch.setattr(module, "settings_for", lambda _: Settings())


@pytest.mark.parametrize(
    "said",
    [
        f'["{DIGEST}"]\n"{EVIL}"\n',
        f'["{DIGEST}"]\n"{"5" * 64}"\n',
        f'["../../x"]\n"{INPUTS}"\n',
        f'{{"a": 1}}\n"{INPUTS}"\n',
        f'[["{DIGEST}"]]\n"{INPUTS}"\n',
        f'{"[" * 100000}\n"{INPUTS}"\n',
    ],
)
def test_a_giver_gives_the_wanted_image_or_none(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    answering(said, monkeypatch)
    wanted, giver = group()
    with pytest.raises(processes.ChannelError):
        by_stream.described(wanted, giver, {})
    assert wanted.archive is None


def test_a_receiver_that_says_no_layers_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for said in ("[1]\n", "[{]\n", '["a"]\n'):
        answering(said, monkeypatch)
        with pytest.raises(processes.ChannelError):
            by_stream.lacking(SimpleNamespace(), Archive(DIGEST, INPUTS, [DIGEST]), Settings())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "said",
    [
        "",
        f"stored {EVIL} {INPUTS} -",
        f"stored {DIGEST} {'5' * 64} -",
        f"stored {DIGEST} {INPUTS} {EVIL}",
        f"stored {DIGEST} $(touch X) {DIGEST}",
    ],
)
def test_what_was_pushed_is_the_wanted_image(
    said: str, own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering(said, monkeypatch)
    wanted, giver = group(registry="registry.example")
    with pytest.raises(PyinfraError):
        by_registry._push(wanted, giver)
    assert not own.exists()


@pytest.mark.parametrize(("says", "kept"), [(None, OTHER), (DIGEST, DIGEST), (OTHER, DIGEST)])
def test_a_pushed_image_replaces_only_what_the_registry_has_lost(
    says: str | None, kept: str, own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, version = "registry.example/openclaw", in_registry.version(INPUTS, "x86_64")
    monkeypatch.setattr(oci, "digest", lambda *_: says)
    lockfile.record(images={f"{name}:{version}": DIGEST})
    answering(f"stored {OTHER} {INPUTS} {DIGEST}", monkeypatch)
    wanted, giver = group(registry="registry.example")
    if says is None:
        assert by_registry._push(wanted, giver).digest == OTHER
    else:
        with pytest.raises(PyinfraError):
            by_registry._push(wanted, giver)
    assert lockfile.read().images == {f"{name}:{version}": kept}
