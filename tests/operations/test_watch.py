"""What is set up on a host so that it looks after its gateway: files, addresses, and their end."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from operations.base import files
from operations.gateway import host_secrets
from operations.watch import addresses, question, watchdog
from tests.operations.hosts import at, commands, judged
from toolkit import credentials
from toolkit.settings import Settings
from toolkit.settings.contradictions import general

ADDRESS = "tgram://123456789:the-secret-token/42"


@pytest.fixture(autouse=True)
def told(monkeypatch: pytest.MonkeyPatch) -> None:
    nothing: Any = host_secrets.Private(None, None, {})
    monkeypatch.setattr(host_secrets, "read", lambda _: nothing)
    monkeypatch.setenv("NOTIFY", ADDRESS)
    credentials.read.cache_clear()


def given(watchdog: bool = True, notify: bool = True, **more: Any) -> Settings:
    address = {"notify": {"address": {"env": "NOTIFY"}}} if notify else {}
    return Settings.model_validate({"watch": {"watchdog": watchdog, **address}, **more})


def as_wanted(settings: Settings, scheduler: str = "systemd") -> dict[str, str]:
    """What a host says on which it is all as it should be."""
    with at(settings, watch=f"{scheduler}\n"):
        plan = watchdog.wanted(settings, watchdog.Watching.parse([scheduler]))
    notify = settings.watch.notify.address is not None
    digest = hashlib.sha256(f"{ADDRESS}\n".encode() if notify else b"").hexdigest()
    said = [scheduler, "scheduled", "there", f"addresses {digest}"]
    there = [
        f"regular file|{one.mode}|{one.owner}|{files.digest(one.content)}|{one.path}"
        for one in plan
    ]
    said += ["mode 600|0:0"] if notify else []
    return {"watch": "\n".join(said), "files": "\n".join(there)}


@pytest.mark.parametrize("scheduler", ["systemd", "cron"])
@pytest.mark.parametrize("notify", [True, False])
def test_a_second_run_changes_nothing(scheduler: str, notify: bool) -> None:
    settings = given(notify=notify)
    there = as_wanted(settings, scheduler)
    assert commands(watchdog.configured, there, settings=settings) == []


def test_nothing_is_set_up_by_default() -> None:
    assert commands(watchdog.configured, {"watch": ""}, settings=Settings()) == []
    assert watchdog.tools(Settings()) == ()


def test_the_address_is_tried_first_and_is_in_no_argument() -> None:
    settings = given()
    (command,) = commands(watchdog.configured, {"watch": "systemd"}, settings=settings)
    assert "the-secret-token" not in command
    tried, put = (
        command.stdin.index(f"\ntry 1 {ADDRESS}"),
        command.stdin.index("addresses.conf.new"),
    )
    assert tried < put
    assert "openclaw-watch.timer" in command.stdin


def test_an_address_that_is_there_is_not_tried_again() -> None:
    settings, there = given(), as_wanted(given())
    there["files"] = ""
    (command,) = commands(watchdog.configured, there, settings=settings)
    assert "\ntry 1" not in command.stdin


def test_without_an_address_its_file_goes() -> None:
    (command,) = commands(watchdog.configured, as_wanted(given()), settings=given(notify=False))
    assert "rm -f /opt/openclaw/watch/addresses.conf" in command.stdin


def test_what_is_not_wanted_any_more_is_taken_away() -> None:
    (command,) = commands(watchdog.configured, as_wanted(given()), settings=Settings())
    for path in (
        "watch.sh",
        "addresses.conf",
        "openclaw-watch.service",
        "/etc/cron.d/openclaw-watch",
    ):
        assert path in command.stdin


def test_cron_runs_it_each_minute() -> None:
    (command,) = commands(watchdog.configured, {"watch": "cron"}, settings=given())
    assert "* * * * * root sh /opt/openclaw/watch/watch.sh 2>&1 | logger -t" in command.stdin


def test_a_host_without_either_is_told_so() -> None:
    (problem,) = judged(watchdog.problems, given(notify=False), {"watch": ""})
    assert not problem.stops and "neither systemd nor a cron" in problem.what


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("telegrm://12345:secretword/1", "given the scheme telegrm://"),
        ("tgramm://12345:secretword/1", "did you mean tgram://?"),
        ("secretword", "not of the form SCHEME://..."),
        ("tag=ntfy://secretword", "not of the form SCHEME://..."),
        ("ntfy://a secretword", "not of the form SCHEME://..."),
        (f"{ADDRESS}\nnttfy://secretword", "address 2 of 2: given the scheme nttfy://"),
        (" \n", "no address in it"),
    ],
)
def test_a_wrong_address_is_found_before_a_host_is_touched(
    text: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY", text)
    (problem,) = addresses.problems(given())
    assert problem.stops and said in problem.what
    assert problem.what.startswith("watch.notify.address")
    assert "secretword" not in problem.what + problem.fix


def test_a_reference_that_leads_nowhere_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY")
    (problem,) = addresses.problems(given())
    assert problem.what == (
        "watch.notify.address: environment variable NOTIFY on the control machine is empty or not"
        " set"
    )


@pytest.mark.parametrize(
    ("schedule", "days"),
    [
        ("daily", 2),
        ("*-*-* 03:30:00", 2),
        ("*-*-* 03:00", 2),
        ("03:00", 2),
        ("3:00 Europe/Berlin", 2),
        ("weekly", 9),
        ("monthly", 35),
        ("Mon..Fri 04:00", 35),
        ("*-*-01 04:00", 35),
        ("*:0/15", 35),
    ],
)
def test_what_is_overdue_follows_from_the_schedule(schedule: str, days: int) -> None:
    assert question.oldest(schedule) == days * 86400
    kept = {"repository": "/srv/b", "password": {"env": "NOTIFY"}, "schedule": schedule}
    settings = given(backup=kept, sandbox={"socket": "socket"})
    with at(settings):
        text = watchdog.program_text(settings)
    assert f"-ge {days * 86400} ]; then wrong=overdue" in text


@pytest.mark.parametrize("key", ["cooldown", "daily"])
def test_what_has_no_effect_without_an_address_is_refused(key: str) -> None:
    settings = Settings.model_validate(
        {"watch": {"notify": {"cooldown": 60} if key == "cooldown" else {"daily": "08:00"}}}
    )
    (problem,) = general.problems(settings)
    assert problem.keys[0] == f"watch.notify.{key}"
    assert "without watch.notify.address" in problem.message
