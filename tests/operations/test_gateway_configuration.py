"""Facts in, commands out: openclaw.json, the swap and what is said of the running gateway."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from pyinfra.context import ctx_host

from operations import activation, verification
from operations.activation import Running
from operations.base import notes, snapshot
from operations.configuration import stage as configuration
from operations.gateway import compose, form
from operations.images import stage as images
from tests.operations.hosts import FakeHost, commands, knowing, private_answer
from toolkit.settings import Settings

ENVIRONMENT = f"OPENCLAW_GATEWAY_TOKEN={'a' * 64}\n"
HOST_CONFIG = {
    "CapDrop": ["ALL"],
    "CapAdd": None,
    "Privileged": False,
    "ReadonlyRootfs": True,
    "SecurityOpt": ["no-new-privileges:true", "seccomp={}"],
    "PidsLimit": 512,
    "Memory": 3 << 30,
    "MemorySwap": 3 << 30,
}
PORTS = {"18789/tcp": [{"HostIp": "127.0.0.1", "HostPort": "18789"}]}


def settings(**values: Any) -> Settings:
    return Settings.model_validate(values)


def owned(**values: Any) -> dict[str, Any]:
    return configuration.owned(settings(**values))


@pytest.fixture
def host_with(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, str]]:
    """`host_with(config, **running)`: the snapshot of a host with this openclaw.json."""
    monkeypatch.setattr(images, "pending", lambda _: False)

    def snapshot_of(config: object, **running: str) -> dict[str, str]:
        text = config if isinstance(config, str) else json.dumps(config)
        answer = private_answer(ENVIRONMENT, text or None, "")
        monkeypatch.setattr(snapshot, "read_quietly", lambda *_: answer)
        states = ["regular file|600|0:0", "regular file|600|1000:1000" if text else "absent"]
        facts = {
            "image": "sha256:1",
            "wanted_image": "sha256:1",
            "status": "running",
            "health": "healthy",
            "user": "1000:1000",
            "host_config": json.dumps(HOST_CONFIG),
            "ports": json.dumps(PORTS),
            "healthz": "200",
            "readyz": "200",
            "unfinished": "",
        }
        answers = {"private": "\n".join(states), "files": ""}
        if "label" not in running:
            facts["label"] = _label(answers)
        gateway = "\n".join(f"{key} {value}" for key, value in (facts | running).items())
        return answers | {"gateway": gateway}

    return snapshot_of


def _label(answers: dict[str, str]) -> str:
    with ctx_host.use(FakeHost(answers)):
        original, snapshot.settings_for = snapshot.settings_for, lambda host: settings()
        try:
            return compose.inputs(settings())
        finally:
            snapshot.settings_for = original


# What is owned


def test_the_token_is_a_reference_and_the_origins_have_the_published_port() -> None:
    gateway = owned(gateway={"port": 19000, "allowed_origins": ["https://claw.example"]})["gateway"]
    assert gateway["auth"]["token"] == {
        "source": "env",
        "provider": "default",
        "id": "OPENCLAW_GATEWAY_TOKEN",
    }
    assert gateway["controlUi"]["allowedOrigins"] == [
        "http://127.0.0.1:19000",
        "http://localhost:19000",
        "https://claw.example",
    ]


@pytest.mark.parametrize(
    ("address", "origin"),
    [("192.0.2.7", "http://192.0.2.7:18789"), ("2001:db8::7", "http://[2001:db8::7]:18789")],
)
def test_the_published_address_is_an_origin(address: str, origin: str) -> None:
    given = settings(gateway={"address": address})
    assert origin in configuration.allowed_origins(given.gateway, given.exposure)


def test_the_settings_win_over_the_toolkits_own_choices() -> None:
    found = owned(openclaw={"session": {"dmScope": "main"}, "logging": {"level": "debug"}})
    assert found["session"] == {"dmScope": "main"}
    assert found["logging"] == {"level": "debug"}
    assert found["gateway"]["mode"] == "local"


# What differs


def test_keys_of_the_user_do_not_differ() -> None:
    there = owned() | {"channels": {"telegram": {"enabled": True}}, "agents": {"entries": {}}}
    there["gateway"] = there["gateway"] | {"tailscale": {"mode": "off"}}
    assert list(configuration.differences(owned(), there)) == []


def test_differences_are_named_and_secrets_are_hidden() -> None:
    there = deepcopy(owned())
    there["gateway"]["auth"]["token"] = "hunter2"
    there["gateway"]["port"] = 1
    wanted = owned(
        openclaw={
            "models": {"providers": {"x": {"apiKey": "hunter3", "baseUrl": "http://u:hunter4@h"}}}
        }
    )
    said = list(configuration.differences(wanted, there))
    assert said == [
        "gateway.port: 1 -> 18789",
        "gateway.auth.token: (hidden) -> env:OPENCLAW_GATEWAY_TOKEN",
        "models.providers.x.apiKey: absent -> (hidden)",
        "models.providers.x.baseUrl: absent -> (hidden)",
    ]


@pytest.mark.parametrize(
    ("wanted", "there", "differs"),
    [
        ({"a": None}, {}, False),
        ({"a": None}, {"a": 1}, True),
        ({"a": {}}, {"a": {"b": 1}}, False),
        ({"a": {}}, {}, True),
        ({"a": {"b": None}}, {}, False),
        ({"a": [1]}, {"a": [1, 2]}, True),
        ({"a": {"b": 1}}, {"a": "text"}, True),
    ],
)
def test_what_counts_as_a_difference(wanted: dict, there: dict, differs: bool) -> None:
    assert bool(list(configuration.differences(wanted, there))) == differs


# The merge


def test_nothing_is_run_when_the_owned_keys_are_there(host_with) -> None:
    assert commands(configuration.merged, host_with(owned()), settings=settings()) == []


def test_json5_with_comments_is_read(host_with) -> None:
    text = "// mine\n" + json.dumps(owned())[:-1] + ", } // end"
    assert commands(configuration.merged, host_with(text), settings=settings()) == []


def test_the_patch_travels_on_standard_input(host_with) -> None:
    wanted = settings(openclaw={"logging": {"file": '/tmp/it\'s "x"'}})
    (command,) = commands(configuration.merged, host_with({}), settings=wanted)
    assert command == "sh -s"
    patch = re.search(r"^printf .%s\\n. (.*?) \| bounded .* docker run", command.stdin, re.M | re.S)
    assert patch
    assert json.loads(*shlex.split(patch[1])) == configuration.owned(wanted)


def test_onboarding_is_left_out_when_the_settings_say_so(host_with) -> None:
    for enabled in (True, False):
        wanted = settings(onboarding={"enabled": enabled})
        (command,) = commands(configuration.merged, host_with(""), settings=wanted)
        assert ("onboard --non-interactive" in command.stdin) == enabled


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{\n  "a": 1,\n  b c\n}', "line 3, column 5"),
        ("[1]", "not an object"),
        ('{"a": "hunter2', "not JSON5"),
    ],
)
def test_an_unreadable_openclaw_json_is_one_problem(
    text: str, said: str, host_with, monkeypatch
) -> None:
    answers = host_with(text, label="")
    monkeypatch.setattr(snapshot, "settings_for", lambda _: settings())
    with ctx_host.use(FakeHost(answers)):
        (problem,) = configuration.configuration_problems(settings())
    assert said in problem.what and "/var/lib/openclaw/config/openclaw.json" in problem.what
    assert "hunter2" not in problem.what


# The swap


def test_the_same_container_goes_on_running(host_with) -> None:
    assert commands(activation.activated, host_with(owned()), settings=settings()) == []
    # The engine calls a container unhealthy for 30 s after a pause.
    for health in ("starting", "unhealthy"):
        resumed = host_with(owned(), health=health)
        assert commands(activation.activated, resumed, settings=settings()) == []


@pytest.mark.parametrize(
    "running",
    [
        {"label": "other"},
        {"wanted_image": "sha256:2"},
        {"status": "exited"},
        {"status": "paused"},
        {"status": ""},
        {"health": "unhealthy", "healthz": "000"},
        {"unfinished": "candidate"},
        {"unfinished": ".openclaw.json.before"},
    ],
)
def test_a_difference_is_activated(running: dict[str, str], host_with) -> None:
    (command,) = commands(activation.activated, host_with(owned(), **running), settings=settings())
    assert command.endswith("sh /opt/openclaw/run/activate.sh activate")


def test_an_interrupted_swap_is_finished_before_anything_else(host_with) -> None:
    cut = host_with(owned(), unfinished="candidate .openclaw.json.before")
    (command,) = commands(activation.recovered, cut, settings=settings())
    assert command.endswith("sh /opt/openclaw/run/activate.sh recover")
    merged_only = host_with(owned(), unfinished=".openclaw.json.before")
    assert commands(activation.recovered, merged_only, settings=settings()) == []


def test_a_changed_openclaw_json_and_an_image_to_be_built_are_activated(
    host_with, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(commands(activation.activated, host_with({}), settings=settings())) == 1
    monkeypatch.setattr(images, "pending", lambda _: True)
    assert len(commands(activation.activated, host_with(owned()), settings=settings())) == 1


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:18789"),
        ("0.0.0.0", "http://127.0.0.1:18789"),
        ("::", "http://[::1]:18789"),
        ("192.0.2.7", "http://192.0.2.7:18789"),
    ],
)
def test_the_host_asks_the_published_address(address: str, url: str) -> None:
    assert form.url(settings(gateway={"address": address})) == url


# What is said of it


def checks(**changed: Any) -> verification.Check:
    there = Running(
        user="1000:1000", host_config=HOST_CONFIG | changed, ports=PORTS, status="running"
    )
    with ctx_host.use(knowing(FakeHost())):
        (check,) = verification.hardening(there, settings())
    return check


def test_a_hardened_container_is_recognised() -> None:
    assert checks().outcome == "ok"


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("CapDrop", None, "cap_drop"),
        ("CapAdd", ["NET_ADMIN"], "cap_add"),
        ("ReadonlyRootfs", False, "read_only"),
        ("SecurityOpt", [], "security_opt"),
        ("PidsLimit", 0, "pids_limit"),
        ("Memory", 0, "mem_limit"),
        ("Privileged", True, "privileged"),
    ],
)
def test_each_loosened_thing_is_named(key: str, value: Any, said: str) -> None:
    check = checks(**{key: value})
    assert check.outcome == "failed" and check.detail.startswith(f"{said} is ")


def test_the_judges_answers_are_read() -> None:
    audit = {
        "summary": {"critical": 0, "warn": 1},
        "findings": [{"severity": "warn", "checkId": "x.y", "title": "T"}],
    }
    doctor = {
        "ok": False,
        "findings": [
            {
                "severity": "warning",
                "message": "m",
                "requirement": "gateway.bind_network_accessible",
            }
        ],
    }
    answer = (
        "readyz ok\nclosed failed the port also answers on 10.0.0.1\n"
        'config_validate {"valid": true}\n'
        f"audit {json.dumps(audit)}\ndoctor {json.dumps(doctor)}\n"
    )
    found = {check.name: (check.outcome, check.detail) for check in verification.parse(answer)}
    assert found == {
        "readyz": ("ok", ""),
        "closed": ("failed", "the port also answers on 10.0.0.1"),
        "config_validate": ("ok", ""),
        "audit": ("failed", "warn x.y: T"),
        "doctor": ("ok", ""),
    }


def test_a_judge_that_says_nothing_is_not_taken_for_approval() -> None:
    assert [check.outcome for check in verification.parse("audit \ndoctor garbage\n")] == [
        "unknown"
    ] * 2


def test_a_gateway_open_to_strangers_fails_the_run(host_with, monkeypatch) -> None:
    answers = host_with(owned())
    host: Any = FakeHost(answers)
    notes.of(host).changed = ["its image changed"]
    monkeypatch.setattr(snapshot, "settings_for", lambda _: settings())
    monkeypatch.setattr(snapshot, "read_quietly", lambda *_: "closed failed 10.0.0.1 answers\n")
    with ctx_host.use(host):
        (command,) = verification.verified._inner(settings=settings())
    assert "10.0.0.1 answers" in command.get_raw_value()
    assert {check.name for check in notes.of(host).checks} >= {
        "hardening",
        "readyz",
        "closed",
    }


@pytest.mark.parametrize(
    ("said", "back"),
    [("7 sha256:of-before", True), ("7 sha256:another", False), ("", False), ("x y z", False)],
)
def test_an_image_that_opens_it_goes_and_the_one_of_before_is_back(
    said: str, back: bool, host_with, monkeypatch
) -> None:
    def read(host: Any, command: str, *_: Any) -> str:
        return said if "generations" in command else "token failed a stranger is let in\n"

    host: Any = FakeHost(host_with(owned()))
    notes.of(host).changed = [activation.IMAGE_CHANGED]
    notes.of(host).replaced = "sha256:of-before"
    monkeypatch.setattr(snapshot, "settings_for", lambda _: settings())
    monkeypatch.setattr(snapshot, "read_quietly", read)
    with ctx_host.use(host):
        *before, last = verification.verified._inner(settings=settings())
    assert "a stranger is let in" in last.get_raw_value() and "exit 1" in last.get_raw_value()
    assert ("image and state of before are back" in last.get_raw_value()) == back
    assert ["echo 7 >" in one.get_raw_value() for one in before][:1] == ([True] if back else [])
    assert ["rollback" in one.get_raw_value() for one in before][1:] == ([True] if back else [])


def test_an_unchanged_gateway_is_not_asked_again(host_with, monkeypatch) -> None:
    answers = host_with(owned())
    monkeypatch.setattr(snapshot, "read_quietly", lambda *_: pytest.fail("asked again"))
    assert commands(verification.verified, answers, settings=settings()) == []


def test_a_browser_in_the_image_runs_as_a_closed_container_lets_it() -> None:
    with_browser = settings(gateway={"install_browser": True})
    assert configuration.owned(with_browser)["browser"] == {"headless": True, "noSandbox": True}
    assert "browser" not in configuration.owned(settings())
