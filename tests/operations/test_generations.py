"""What ran before is kept, and can be gone back to: the script on a gateway and an engine that are
a few files, cut at any of its steps, and what a host says of it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from operations.base import templates
from operations.base.quoting import Script
from operations.lifecycle import generations
from tests.operations.fake_upgrade import COMPOSE, NEW, OLD, UID, Deployed
from tests.operations.hosts import at
from toolkit import patterns
from toolkit.settings import Settings

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="gives files away")
THIRD = f"sha256:{'c' * 64}"
BEFORE = (OLD, OLD, "old", "state", False)
AFTER = (NEW, NEW, "new", "newer", True)


class Upgraded(Deployed):
    """The other image has run for a while: generation 1 is what was before."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        code, said = self.run(self.activation(), "unrehearsed")
        assert code == 0, said
        self.write("newer")
        self.set("done")

    @property
    def generations(self) -> Path:
        return self.rollback.parent / "generations"

    def write(self, text: str) -> None:
        """As the gateway writes its state, which an earlier release would not read."""
        for name in ("openclaw.json", "later"):
            (self.config / name).write_text(text)
            os.chown(self.config / name, UID, UID)

    def numbers(self) -> list[str]:
        return sorted(path.name for path in self.generations.iterdir())

    def go_back(self, number: int, kill_at: int | None = None, **more: Any) -> tuple[int, str]:
        (self.project / "run/go-back-to").write_text(f"{number}\n")
        return self.run(self.activation(**more), "rollback", kill_at)

    def whole(self) -> tuple[object, ...]:
        """What runs, the tag, the label of the files, and which state is in place."""
        label = (self.project / "docker-compose.yml").read_text().split('"')[1]
        state = (self.config / "openclaw.json").read_text()
        return (self.says("image"), self.says("local"), label, state, self.later)

    @property
    def later(self) -> bool:
        return (self.config / "later").exists()


@pytest.fixture
def one(tmp_path: Path) -> Upgraded:
    return Upgraded(tmp_path)


def test_what_a_swap_takes_the_place_of_is_kept_whole(one: Upgraded) -> None:
    kept = one.generations / "1"
    assert (kept / "image").read_text() == f"{OLD}\n"
    assert (kept / "docker-compose.yml").read_text() == COMPOSE.format("old")
    assert (kept / ".env").stat().st_mode & 0o777 == 0o600
    assert (kept / "openclaw.json").read_text() == (kept / "state/openclaw.json").read_text()
    assert "image docker-compose.yml" in (kept / "changed").read_text()
    assert one.generations.stat().st_mode & 0o777 == 0o700
    # A run that changes nothing keeps nothing.
    assert one.run(one.activation(), "activate")[0] == 0
    assert one.numbers() == ["1"]


def test_going_back_and_forth_loses_nothing(one: Upgraded) -> None:
    assert one.whole() == AFTER
    code, said = one.go_back(1)
    assert code == 0, said
    assert one.whole() == BEFORE
    assert "generation 2: what was left just now" in said
    assert (one.generations / "2/state/later").read_text() == "newer"
    assert one.go_back(2)[0] == 0
    assert one.whole() == AFTER
    assert one.run(one.activation(), "activate")[0] == 0
    assert one.whole() == AFTER and not (one.project / "run/going-back-to").exists()


def test_of_files_alone_the_state_stays(one: Upgraded) -> None:
    (one.project / "docker-compose.yml").write_text(COMPOSE.format("other"))
    assert one.run(one.activation(), "activate")[0] == 0
    assert one.numbers() == ["1", "2"] and not (one.generations / "2/state").exists()
    one.write("newest")
    assert one.go_back(2)[0] == 0
    assert one.whole() == (NEW, NEW, "new", "newer", True)
    assert (one.config / "later").read_text() == "newest"


def test_one_that_does_not_become_ready_leaves_what_ran(one: Upgraded) -> None:
    with (one.generations / "1/.env").open("a") as file:
        file.write("BROKEN=1\n")
    one.set("broken", "BROKEN=1\n")
    code, said = one.go_back(1)
    assert code == 1 and "the last good one is running again" in said
    assert one.whole() == AFTER and one.says("status") == "running"
    assert one.numbers() == ["1"]


@pytest.mark.parametrize(
    ("number", "gone", "expected"),
    [(7, "", "there is no generation 7"), (1, "1/state", "the state of generation 1 is gone")],
)
def test_what_is_not_there_stops_nothing(
    number: int, gone: str, expected: str, one: Upgraded
) -> None:
    if gone:
        subprocess.run(["rm", "-r", one.generations / gone], check=True)
    code, said = one.go_back(number)
    assert code == 1 and expected in said
    assert one.whole() == AFTER and not one.says("done")


def test_so_many_are_kept_and_the_last_of_another_release_always(one: Upgraded) -> None:
    for number in range(5):
        (one.project / "docker-compose.yml").write_text(COMPOSE.format(f"number-{number}"))
        assert one.run(one.activation(keep_generations=2), "activate")[0] == 0
    assert one.numbers() == ["1", "6"]
    assert "docker image rm openclaw:generation-5" in one.says("asked")
    one.set("local", f"{THIRD}\n")
    assert one.run(one.activation(keep_generations=2), "unrehearsed")[0] == 0
    assert one.numbers() == ["6", "7"]


def test_where_the_disk_is_full_only_the_last_of_another_release_stays(one: Upgraded) -> None:
    (one.project / "docker-compose.yml").write_text(COMPOSE.format("other"))
    assert one.run(one.activation(spare_bytes=1 << 60), "activate")[0] == 0
    assert one.numbers() == ["1"]


@pytest.mark.slow
@pytest.mark.parametrize("number", [4, 9, 13, 17, 21, 25])
def test_cut_it_is_one_of_both_and_nothing_is_lost(number: int, tmp_path: Path) -> None:
    cut(tmp_path, number)


@pytest.mark.long
def test_cut_anywhere_it_is_one_of_both_and_nothing_is_lost(tmp_path: Path) -> None:
    number = 2  # at the first, the end of the run before is what is read
    while cut(tmp_path / str(number), number):
        number += 1
    assert number > 25


def cut(directory: Path, number: int) -> bool:
    """Cut a way back at a step and run again; whether it had that many steps."""
    one = Upgraded(directory)
    killed = one.go_back(1, kill_at=number)[0] != 0
    # As the next `./claw up` does: first that, and at its end what runs is what the files say.
    for mode in ("recover", "activate"):
        code, said = one.run(one.activation(), mode)
        assert code == 0, (number, mode, said)
    assert one.says("status") == "running"
    assert one.whole() in (BEFORE, AFTER), (number, one.whole())
    assert not (one.project / "run/going-back-to").exists()
    if one.whole() == BEFORE:
        (left,) = set(one.numbers()) - {"1"}
        assert (one.generations / left / "state/later").read_text() == "newer", number
    code, said = one.go_back(1)
    assert code == 0 and one.whole() == BEFORE, (number, said)
    return killed


@pytest.mark.slow
@pytest.mark.parametrize("number", [16, 20, 24, 28])
def test_an_upgrade_that_is_cut_keeps_one_generation(number: int, tmp_path: Path) -> None:
    one = Deployed(tmp_path)
    one.run(one.activation(), "unrehearsed", kill_at=number)
    assert one.run(one.activation(), "unrehearsed")[0] == 0
    kept = tmp_path / "generations"
    assert sorted(path.name for path in kept.iterdir()) == ["1"]
    assert (kept / "1/image").read_text() == f"{OLD}\n"
    assert (kept / "1/state/openclaw.json").read_text() == "state"


def test_cut_between_two_names_what_ran_before_is_still_the_way_back(one: Upgraded) -> None:
    good = one.project / "last-good"
    shutil.copytree(good, one.project / "candidate")
    (one.project / "candidate/phase").write_text("swapped\n")
    good.rename(one.project / "last-good.old")
    one.set("broken", "OPENCLAW_GATEWAY_TOKEN\n")
    one.run(one.activation(), "recover")
    assert (good / "image").read_text() == f"{NEW}\n"


def test_what_was_ready_once_does_not_go_back_later(one: Upgraded) -> None:
    """A run was killed between ready and kept; days later the gateway is in trouble."""
    candidate = one.project / "candidate"
    shutil.copytree(one.project / "last-good", candidate)
    (candidate / "phase").write_text("ready\n")
    (candidate / "docker-compose.yml").write_text(COMPOSE.format("other"))
    one.write("of these days")
    one.set("broken", "OPENCLAW_GATEWAY_TOKEN\n")
    assert one.run(one.activation(), "recover")[0] == 0
    assert (one.config / "later").read_text() == "of these days"
    assert not one.says("done") and not candidate.exists()
    assert "other" in (one.project / "last-good/docker-compose.yml").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("content", ["", "0\n", "../..\n"])
def test_a_number_that_a_power_cut_emptied_takes_no_generation_away(
    content: str, one: Upgraded
) -> None:
    (one.project / "last-good/generation").write_text(content)
    (one.project / "last-good/state-saved").touch()
    (one.rollback / "state").mkdir()
    assert one.run(one.activation(), "recover")[0] == 0
    candidate = one.project / "candidate"
    shutil.copytree(one.project / "last-good", candidate)
    (candidate / "phase").write_text("swapped\n")
    (candidate / "generation").write_text(content)
    (candidate / "docker-compose.yml").write_text(COMPOSE.format("other"))
    assert one.run(one.activation(), "recover")[0] == 0
    assert one.numbers() == ["1", "2"]
    assert (one.generations / "1/state/openclaw.json").read_text() == "state"


def test_what_is_published_elsewhere_than_what_is_closed_does_not_come_back(one: Upgraded) -> None:
    with (one.generations / "1/docker-compose.yml").open("a") as file:
        file.write('    ports: ["0.0.0.0:1:1"]\n')
    code, said = one.go_back(1)
    assert code == 1 and 'published as ["0.0.0.0:1:1"]' in said and "gateway.port" in said
    assert one.whole() == AFTER and not one.says("done")
    assert not (one.project / "run/going-back-to").exists()


def test_what_runs_already_is_not_put_in_place_again(one: Upgraded) -> None:
    assert one.go_back(1)[0] == 0
    one.write("since")
    code, said = one.go_back(1)
    assert code == 0 and "What runs is what generation 1 holds" in said
    assert (one.config / "openclaw.json").read_text() == "since"
    assert one.numbers() == ["1", "2"]


def test_what_was_written_and_has_not_run_yet_is_kept(one: Upgraded) -> None:
    (one.project / "docker-compose.yml").write_text("by hand")
    code, said = one.go_back(1)
    assert code == 0 and "docker-compose.yml.before-rollback" in said
    assert (one.project / "docker-compose.yml.before-rollback").read_text() == "by hand"
    assert one.whole() == BEFORE


def test_the_token_stays_that_of_now(one: Upgraded) -> None:
    for directory in (one.project, one.project / "last-good"):
        (directory / ".env").write_text("A=2\nOPENCLAW_GATEWAY_TOKEN=the-new-one\n")
    (one.generations / "1/.env").write_text("OPENCLAW_GATEWAY_TOKEN=old\nA=1\n")
    assert one.go_back(1)[0] == 0
    assert one.whole() == BEFORE
    there = one.project / ".env"
    assert there.read_text() == "OPENCLAW_GATEWAY_TOKEN=the-new-one\nA=1\n"
    assert there.stat().st_mode & 0o777 == 0o600


def test_what_is_refused_before_the_stop_leaves_the_files_of_what_runs(one: Upgraded) -> None:
    (one.config / "secret").mkdir(mode=0o000)
    os.chown(one.config / "secret", UID, UID)
    code, said = one.go_back(1)
    assert code == 1 and "nothing was stopped" in said
    assert one.whole() == AFTER and not one.says("done")
    assert not (one.project / "run/going-back-to").exists()


def test_the_state_of_another_user_is_given_before_it_is_put_back(one: Upgraded) -> None:
    mine = UID + 1
    subprocess.run(["chown", "-R", f"{mine}:{mine}", one.generations / "1/state"], check=True)
    (one.generations / "1/state/openclaw.json").chmod(0o600)
    own = "gateway_to_own() { :; }\ngateway_makes_volume() { false; }\n"
    own += f"gateway_own() {{ chown -R {mine}:{mine} {one.config}; }}\n"
    code, said = one.go_back(1, ownership=Script(own))
    assert code == 0, said
    assert one.whole() == BEFORE


def test_what_is_dropped_loses_its_tag_and_no_copy_of_the_state_stays(one: Upgraded) -> None:
    assert one.go_back(1)[0] == 0
    assert not (one.rollback / "failed").exists()
    (one.project / "docker-compose.yml").write_text(COMPOSE.format("other"))
    assert one.run(one.activation(keep_generations=1), "activate")[0] == 0
    # Its image is not removed with the tag: what it was built on would stay for ever.
    assert f"docker tag {OLD} openclaw:generation-1" in one.says("tags").splitlines()[-2:]


# What a host says, and the operation


def test_what_can_be_gone_back_to_is_listed(one: Upgraded) -> None:
    def listed() -> list[generations.Generation]:
        script = templates.render(
            "lifecycle/generations.sh.j2",
            docker=one.functions,
            project=str(one.project),
            generations=str(one.generations),
        )
        done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
        return generations.parse(done.stdout)

    (found,) = listed()
    assert (found.number, found.release, found.missing) == (1, "2026.9.6", "")
    assert found.bytes > 0 and "image" in found.changed and found.with_state
    subprocess.run(["rm", "-r", one.generations / "1/state"], check=True)
    assert listed()[0].missing == "state"


@pytest.mark.parametrize(
    "line", ["x|2026.9.6|2026-11-29T12:00:00Z|1||", "1|2026.9.6|yesterday|1||", "1|||-1||"]
)
def test_what_is_no_generation_is_refused(line: str) -> None:
    with pytest.raises(patterns.MismatchError):
        generations.parse(line)


def test_what_a_host_says_is_shown_as_text() -> None:
    (found,) = generations.parse("1|\x1b[31m|2026-11-29T12:00:00Z||\x1b[31mimage|anything")
    assert found.release == "unknown" and "\x1b" not in found.changed[0] and found.missing == ""


@pytest.mark.parametrize("another", [True, False])
def test_the_plan_says_whether_the_state_goes_back(another: bool) -> None:
    word = "another" if another else ""
    (found,) = generations.parse(f"1|2026.9.6|2026-11-29T12:00:00Z|1|docker-compose.yml||{word}")
    with at(Settings(), gateway="version 2026.9.6\n"):
        plan = "\n".join(generations.planned(Settings(), found))
    assert ("the state stays" in plan) is not another
    assert "what was written since is set aside" in plan
