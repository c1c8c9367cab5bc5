"""YAML that would exhaust the machine is refused with its line, before anything builds it."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolkit import lockfile, own_files
from toolkit.lockfile import LockError
from toolkit.settings.sources.errors import SettingsError
from toolkit.settings.sources.yaml_inventory import load_yaml_inventory

LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
)
MERGES = "a0: &a0 {k: v}\n" + "".join(
    f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}\n" for n in range(1, 30)
)
REFUSED = {
    "aliases of aliases": (LAUGHS, "line 6: aliases stand for more than 250000 values"),
    "merges of merges": (MERGES, "line 16: aliases stand for more than 250000 values"),
    "lists in lists": ("hosts:\n  a: " + "[" * 100000, "line 2: more than 100 levels are nested"),
    "mappings in mappings": ("{a: " * 1000, "line 1: more than 100 levels are nested"),
    "lists in lists, in blocks": ("- " * 5000 + "x", "line 1: more than 100 levels are nested"),
    "itself": ("hosts: &h {a: {openclaw: *h}}\n", "line 1: found unconstructable recursive node"),
    "a number without end": (
        "hosts:\n  a: {gateway: {port: " + "9" * 5000 + "}}",
        "line 2: a number of 5000 digits",
    ),
    "a large file": ("#" * (own_files.MOST_BYTES + 1), "more than 16 MiB"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_inventories(case: str, tmp_path: Path) -> None:
    text, message = REFUSED[case]
    path = tmp_path / "fleet.yml"
    path.write_text(text)
    with pytest.raises(SettingsError) as refused:
        load_yaml_inventory(path)
    assert message in str(refused.value)
    assert str(path) in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize("case", ["aliases of aliases", "lists in lists", "a large file"])
def test_locks(case: str, tmp_path: Path) -> None:
    text, message = REFUSED[case]
    path = tmp_path / "openclaw.lock.yml"
    path.write_text(text)
    with pytest.raises(LockError) as refused:
        lockfile.read(path)
    assert message in str(refused.value)


def test_a_lock_that_is_no_yaml_and_no_text(tmp_path: Path) -> None:
    path = tmp_path / "openclaw.lock.yml"
    path.write_text("images:\n\t- x\n")
    with pytest.raises(LockError, match=r"openclaw\.lock\.yml line 2: ") as refused:
        lockfile.read(path)
    assert len(str(refused.value).splitlines()) == 1
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(LockError, match="not text in UTF-8"):
        lockfile.read(path)


def test_what_hosts_share_is_no_bomb(tmp_path: Path) -> None:
    shared = "x-common: &common\n" + "".join(f"  k{n}: {n}\n" for n in range(50))
    hosts = "".join(f"  h{n}: {{<<: *common}}\n" for n in range(2000))
    own_files.bounded(f"{shared}hosts:\n{hosts}")
    own_files.bounded("a: " + "[" * 90 + "]" * 90)
