"""daemon.json: what is merged, and what a change costs."""

from __future__ import annotations

import pytest

from operations.engine import daemon
from toolkit.settings import Settings


def settings(**engine: object) -> Settings:
    return Settings.model_validate({"engine": engine})


def test_new_host_gets_bounded_logs_and_live_restore() -> None:
    assert daemon.desired(settings().engine, {}) == {
        "log-driver": "json-file",
        "log-opts": {"max-size": "10m", "max-file": "3"},
        "live-restore": True,
    }


def test_what_the_user_set_stays_unless_the_settings_name_it() -> None:
    there = {
        "data-root": "/srv/docker",
        "log-opts": {"max-size": "1g", "labels": "x"},
        "live-restore": False,
    }
    merged = daemon.desired(settings().engine, there)
    assert merged["data-root"] == "/srv/docker"
    assert merged["log-opts"] == {"max-size": "1g", "max-file": "3", "labels": "x"}
    assert merged["live-restore"] is False
    named = daemon.desired(settings(log_max_size="20m").engine, there)
    assert named["log-opts"] == {"max-size": "20m", "max-file": "3", "labels": "x"}


def test_further_keys_are_merged_key_by_key() -> None:
    there = {"runtimes": {"gvisor": {"path": "/bin/runsc"}}, "debug": False}
    wanted = settings(daemon={"runtimes": {"kata": {"path": "/bin/kata"}}, "debug": True})
    merged = daemon.desired(wanted.engine, there)
    assert merged["runtimes"].keys() == {"gvisor", "kata"}
    assert merged["debug"] is True


def test_log_driver_that_does_not_rotate_files_gets_no_bounds() -> None:
    assert "log-opts" not in daemon.desired(settings().engine, {"log-driver": "journald"})
    there = daemon.desired(settings().engine, {})
    assert (
        daemon.desired(settings(daemon={"log-driver": "journald"}).engine, there)["log-opts"] == {}
    )


def test_swarm_has_no_live_restore() -> None:
    assert "live-restore" not in daemon.desired(settings().engine, {}, swarm=True)


def test_command_line_of_the_daemon_is_not_contradicted() -> None:
    arguments = ("dockerd", "--log-driver=local", "--log-opt", "max-size=5m", "--live-restore")
    assert daemon.desired(settings().engine, {}, arguments) == {}


def test_merging_twice_changes_nothing() -> None:
    wanted = settings(registry_mirrors=["https://mirror.example"], log_max_files=5)
    once = daemon.desired(wanted.engine, {"debug": True})
    assert daemon.desired(wanted.engine, once) == once


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{\n "a": 1\n "b": 2\n}', "line 3"),
        ("[]", "not a JSON object"),
        ('{"a" 1}', "line 1, column 6"),
    ],
)
def test_invalid_file_is_named_by_line(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        daemon.parse(text)


@pytest.mark.parametrize("text", [None, "", "\n"])
def test_no_file_and_an_empty_one_have_no_keys(text: str | None) -> None:
    assert daemon.parse(text) == {}


def test_only_reloadable_keys_are_reloaded() -> None:
    assert daemon.activation({}, {"live-restore": True, "debug": True}) == "reload"
    assert daemon.activation({"debug": True}, {"debug": True, "data-root": "/x"}) == "restart"
    assert daemon.activation({"data-root": "/x"}, {}) == "restart"
    assert daemon.activation({"debug": True}, {"debug": True}) == "restart"


def test_proxies_of_an_old_engine_are_its_environment() -> None:
    drop_in = daemon.proxy_drop_in({"https-proxy": "http://u:p%40@proxy:3128", "no-proxy": "a,b"})
    assert drop_in.splitlines()[1:] == [
        "[Service]",
        'Environment="HTTPS_PROXY=http://u:p%%40@proxy:3128"',
        'Environment="NO_PROXY=a,b"',
    ]
