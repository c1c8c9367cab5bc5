"""An image is built on one host of a run and given to the others."""

from __future__ import annotations

import os
import re
import signal

import pytest

from tests.e2e.fleet_job import Fleet, Outcome
from tests.e2e.harness import until

pytestmark = [pytest.mark.engine, pytest.mark.whole]
BUILD, RECEIVE = "Build the gateway image", "Receive the gateway image"


def sent(outcome: Outcome) -> list[str]:
    return re.findall(r"gateway image: (\d+ of \d+ layers from \S+),", outcome.said)


def test_one_builds_the_others_receive_and_all_have_the_same(fleet: Fleet) -> None:
    first, _, here = fleet.machines
    ref = fleet.commit(first, "one")
    plan = fleet.run("--dry", ref=ref)
    assert [BUILD in plan.planned(one.name) for one in fleet.machines] == [True, False, False]
    assert [RECEIVE in plan.planned(one.name) for one in fleet.machines] == [False, True, True]

    done = fleet.run(ref=ref)
    for machine in fleet.machines:
        assert done.changed(machine.name) == plan.planned(machine.name), done.said
    assert sent(done) == ["2 of 2 layers from " + first.name] * 2
    assert len({fleet.image(machine) for machine in fleet.machines}) == 1
    assert fleet.image(here)

    again = fleet.run(ref=ref)
    assert [again.planned(machine.name) for machine in fleet.machines] == [[], [], []]
    assert [fleet.left(machine) for machine in fleet.machines] == ["", "", ""]


@pytest.mark.long
def test_only_what_changed_is_sent(fleet: Fleet) -> None:
    first, *others = fleet.machines
    fleet.run(ref=fleet.commit(first, "before"))
    ref = fleet.commit(first, "two")
    done = fleet.run(ref=ref)
    assert sent(done) == ["1 of 2 layers from " + first.name] * len(others)
    assert len({fleet.image(machine) for machine in fleet.machines}) == 1


def test_a_host_that_has_it_gives_it_and_nobody_builds(fleet: Fleet) -> None:
    first, second, here = fleet.machines
    ref = fleet.commit(first, "three")
    fleet.run(ref=ref)
    image = fleet.image(first)
    for machine in (first, here):
        machine.sh(f"docker image rm -f {fleet.tag}")
    done = fleet.run(ref=ref)
    assert [done.changed(one.name) for one in (first, second, here)] == [[RECEIVE], [], [RECEIVE]]
    assert {fleet.image(machine) for machine in fleet.machines} == {image}


@pytest.mark.long
def test_after_a_failed_builder_another_host_builds_and_the_rest_receives(fleet: Fleet) -> None:
    first, second, here = fleet.machines
    for machine in (second, here):
        fleet.commit(machine, "four")
    first.sh(f"rm -rf {fleet.repository}")
    before = fleet.image(first)
    done = fleet.run(ref="main")
    assert "gateway.repository" in done.failed(first.name)
    assert fleet.image(first) == before
    assert done.failed(second.name) == done.failed(here.name) == ""
    assert fleet.image(second) == fleet.image(here) != before
    assert fleet.run(ref="main").changed(first.name)[0] == RECEIVE
    assert fleet.image(first) == fleet.image(second)


@pytest.mark.long
def test_what_fails_everywhere_is_not_built_by_everybody(fleet: Fleet) -> None:
    before = [fleet.image(machine) for machine in fleet.machines]
    for machine in fleet.machines:
        fleet.commit(machine, "five", step="COPY nothing /")
        machine.sh(f"git -C {fleet.repository} branch broken")  # no lock knows its commit
    done = fleet.run(ref="broken")
    said = [done.failed(machine.name) for machine in fleet.machines]
    assert all(said) and [fleet.image(machine) for machine in fleet.machines] == before
    assert ["could not be built on" in one for one in said].count(True) == 1


@pytest.mark.long
def test_a_run_that_is_killed_while_it_sends_is_finished_by_the_next_one(fleet: Fleet) -> None:
    first, second, here = fleet.machines
    fleet.machines.remove(here)
    stalled, gzip = f"/run/{fleet.name}-stalled", "/usr/local/bin/gzip"
    try:
        ref = fleet.commit(first, "six")
        old = fleet.image(second)
        second.sh(
            f"printf '#!/bin/sh\\n: >{stalled}\\nexec sleep 3600\\n' >{gzip}; chmod 755 {gzip}"
        )
        running = fleet.start(ref=ref)
        on_its_way = f"ls {stalled} 2>/dev/null"
        until(
            lambda: second.sh(on_its_way, None) or running.poll() is not None, 300, "a stalled run"
        )
        assert running.poll() is None, "it ended instead"
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
        second.sh(f"rm {gzip}")
        assert fleet.image(second) == old
        fleet.run(ref=ref)
        assert fleet.image(second) == fleet.image(first) != old
        assert second.sh("pgrep -f 'sleep 3600'", None) == fleet.left(first) == ""
    finally:
        second.sh(f"rm -f {gzip} {stalled}")
        fleet.machines.append(here)
