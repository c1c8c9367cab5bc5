"""The lab as a product: who may have one, what it needs, and who stops its engine."""

from __future__ import annotations

import os
import subprocess
from types import SimpleNamespace

import pytest

from lab import engine, fleet, making
from lab import hosts as lab


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine of our imagination: whether the engine runs, what runs on it, free disk."""
    state = SimpleNamespace(running=False, containers="", free=100 * fleet.GIB)

    def run(verb: str) -> subprocess.CompletedProcess[str]:
        if verb != "status":
            state.running = verb == "start"
        done = verb != "status" or state.running
        return subprocess.CompletedProcess([verb], 0 if done else 3)

    for module in (engine, lab):
        monkeypatch.setattr(module, "DATA", tmp_path)
    for name in ("STARTED_BY_TESTS", "STARTED_BY_FLEET"):
        monkeypatch.setattr(engine, name, tmp_path / name.lower())
    monkeypatch.setattr(engine, "_run", run)
    monkeypatch.setattr(engine.subprocess, "run", lambda words: run(words[1]))
    there = SimpleNamespace(list=lambda: list(state.containers))
    monkeypatch.setattr(engine, "client", lambda: SimpleNamespace(containers=there))
    monkeypatch.setattr(engine, "_fleets", lambda: state.containers)
    monkeypatch.setattr(engine, "obstacle", lambda: None)
    monkeypatch.setattr(fleet, "members", lambda: [])
    monkeypatch.setattr(fleet.shutil, "disk_usage", lambda place: SimpleNamespace(free=state.free))
    return state


def test_an_engine_that_the_lab_started_stops_with_it(machine):
    engine.start_for_fleet()
    machine.containers = "0123"
    assert not engine.stop_after_fleet() and machine.running  # somebody's container runs on it
    machine.containers = ""
    assert engine.stop_after_fleet() and not machine.running


def test_an_engine_that_was_running_stays(machine):
    machine.running = True
    engine.start_for_fleet()
    assert not engine.stop_after_fleet() and machine.running


def test_tests_that_end_leave_the_engine_to_the_lab(machine):
    session = engine.Engine()
    engine.start_for_fleet()
    session.close()
    assert machine.running
    assert engine.stop_after_fleet() and not machine.running


def test_a_lab_that_goes_during_tests_leaves_the_engine_to_them(machine):
    session = engine.Engine()
    engine.start_for_fleet()
    assert not engine.stop_after_fleet() and machine.running
    session.close()
    assert not machine.running


def test_a_lab_that_does_not_fit_on_the_disk(machine):
    machine.free = 13 * fleet.GIB
    with pytest.raises(lab.LabError, match=r"13\.0 GiB free; 14 GiB are needed for 3 more hosts"):
        fleet.up(3, "bookworm", print)
    assert not machine.running


@pytest.mark.skipif(os.geteuid() != 0, reason="it is about root")
def test_a_lab_without_root(machine, monkeypatch):
    monkeypatch.setattr(engine, "obstacle", REAL_OBSTACLE)
    monkeypatch.setattr(engine.os, "geteuid", lambda: 1000)
    with pytest.raises(lab.LabError, match=r"needs root .* try: sudo ./claw lab up 2"):
        fleet.up(2, "bookworm", print)
    with pytest.raises(lab.LabError, match="needs root"):
        fleet.inventory()


def test_a_lab_that_is_not_there(machine):
    for ask in (fleet.inventory, lambda: fleet.find("lab1")):
        with pytest.raises(lab.LabError, match=r"does not run; first: ./claw lab up 3"):
            ask()
    assert fleet.down() == []


def test_an_inventory_of_those_that_run(machine, monkeypatch, tmp_path):
    machine.running = True
    found = [
        fleet.Member("lab1", "bookworm", "10.91.0.101", True),
        fleet.Member("lab2", "trixie", "10.91.0.102", False),
        fleet.Member("lab3", "trixie", "10.91.0.103", True),
    ]
    monkeypatch.setattr(fleet, "members", lambda: found)
    for module in (lab, making):
        monkeypatch.setattr(module, "SSH_DIR", tmp_path)
    (tmp_path / "id_ed25519").touch()
    groups = fleet.inventory()
    hosts, data = groups["lab"]
    assert [name for name, _ in hosts] == ["lab1", "lab3"]
    assert hosts[0][1] == {"ssh_hostname": "10.91.0.101"}
    assert data["ssh_known_hosts_file"] == str(tmp_path / "known_hosts")
    assert (groups["bookworm"], groups["trixie"]) == (["lab1"], ["lab3"])
    with pytest.raises(lab.LabError, match=r"lab2 does not run; ./claw lab up 3"):
        fleet.find("lab2")
    with pytest.raises(lab.LabError, match="there are: lab1, lab2, lab3"):
        fleet.find("lab9")


REAL_OBSTACLE = engine.obstacle
