"""Metrics of a deployment: the script that writes them with a host that is a few lines, what is
written to a host, and what a preflight says before that."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from operations.base import files, templates
from operations.watch import metrics, places, question
from tests.operations.hosts import at, commands, judged
from toolkit.settings import Settings

SAID = """\
now=1796000000
disk=5368709120
backups=yes
last=2026-11-29T03:10:00Z ok 0123abcd
drilled=2026-11-28T04:00:00Z ok 0123abcd 12
stopped=
deploy=2026-11-27T10:00:00Z done
deployed=yes
timers=5
pull=yes
pull_time=1795999000
pull_state=waiting
watch=yes
watch_before=ready
watch_total=2
certificate=1800000000
sandboxes=running 2
sandboxes=exited 1
state=running
started=2026-11-29T10:00:00.123456789Z
restarts=3
image=openclaw:local
image_id=sha256:1
memory=734003200 3221225472
version=2026.9.6
readyz=200
"""
FULL = "engine=28.0.1\npackage=2026.9.6\nlists=1795990000\nsecurity=4\n"


class Host:
    """A host whose state a file has, with the script that writes its metrics."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch, **wanted: Any) -> None:
        self.root, self.directory = root, root / "metrics"
        monkeypatch.setattr(metrics, "DIRECTORY", str(self.directory))
        monkeypatch.setattr(places, "state", lambda _: str(root / "state/claw.watch"))
        project = {"project": str(root / "claw")}
        self.settings = Settings.model_validate({"name": "claw", "directories": project, **wanted})
        with at(self.settings):
            self.files = {one.path: one for one in metrics.wanted(self.settings, systemd=True)}
        self.program = Path(metrics.program(self.settings))
        self.program.parent.mkdir(parents=True)
        self.program.write_text(self.files[str(self.program)].content)
        self.says(SAID)

    def says(self, often: str, full: str = FULL, end: str = "") -> None:
        (self.root / "often").write_bytes(often.encode())
        (self.root / "full").write_text(full)
        script = f'echo "asked $often" >>{self.root}/asked; cat {self.root}/${{often:+often}}'
        script = script.replace("${often:+often}", "$([ $often ] && echo often || echo full)")
        Path(metrics.status(self.settings)).write_text(f"often=${{often-}}\n{script}\n{end}\n")

    def write(self) -> dict[str, str]:
        done = subprocess.run(["sh", self.program], capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
        return self.read()

    @property
    def file(self) -> Path:
        return self.directory / "claw.prom"

    def read(self) -> dict[str, str]:
        """The value of each series; its deployment is left out of the labels."""
        lines = [one for one in self.file.read_text().splitlines() if not one.startswith("#")]
        series = [
            re.fullmatch(r"openclaw_(\w+)\{deployment=\"claw\",?(.*)\} (\S+)", one) for one in lines
        ]
        assert all(series), lines
        return {f"{one[1]} {one[2]}".strip(): one[3] for one in series if one}


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    https = {"https": {"domain": "claw.example.org"}}
    return Host(tmp_path, monkeypatch, exposure=https)


def test_what_a_host_says_is_metrics(host: Host) -> None:
    found = host.write()
    info = 'image="openclaw:local",image_id="sha256:1",release="2026.9.6",engine="28.0.1"'
    assert found.pop(f"gateway_info {info}") == "1"
    states = ("created", "restarting", "removing", "paused", "dead")
    assert {found.pop(f'sandboxes state="{one}"') for one in states} == {"0"}
    assert found == {
        "watch_success": "1",
        "deployed": "1",
        "gateway_up": "1",
        "gateway_ready": "1",
        "gateway_last_ready_timestamp_seconds": "1796000000",
        "gateway_stopped": "0",
        "gateway_start_time_seconds": "1795946400",
        "gateway_restarts_total": "3",
        "gateway_memory_working_set_bytes": "734003200",
        "gateway_memory_limit_bytes": "3221225472",
        'sandboxes state="running"': "2",
        'sandboxes state="exited"': "1",
        "drift_reasons": "0",
        "deploy_last_timestamp_seconds": "1795773600",
        "deploy_last_success": "1",
        "backup_last_success_timestamp_seconds": "1795921800",
        "backup_failed": "0",
        "backup_max_age_seconds": "172800",
        "drill_last_success_timestamp_seconds": "1795838400",
        "drill_failed": "0",
        "timers_missing": "0",
        "pull_last_run_timestamp_seconds": "1795999000",
        'pull_converged state="waiting"': "0",
        "pull_max_age_seconds": "172800",
        'watchdog_state state="ready"': "1",
        "watchdog_gave_up": "0",
        "watchdog_restarts_total": "2",
        'certificate_expiry_timestamp_seconds domain="claw.example.org"': "1800000000",
        "host_disk_free_bytes": "5368709120",
        "host_reboot_required": "0",
        "host_security_updates": "4",
        "host_package_lists_timestamp_seconds": "1795990000",
    }


def test_what_costs_more_is_asked_once_an_hour(host: Host) -> None:
    for _ in range(3):
        host.write()
    assert (host.root / "asked").read_text().split("\n")[:-1] == ["asked "] + 3 * ["asked yes"]


def test_trouble_is_seen(host: Host) -> None:
    host.write()
    more = "drift=label\ndrift=file .env\ndrift=label\nreboot=yes\nunscheduled=claw-backup.timer\n"
    said = SAID.replace("readyz=200", "readyz=503").replace("now=1796000000", "now=1796000300")
    said = said.replace(
        "ok 0123abcd\ndrilled", "failed no space left\nmade=2026-11-28T03:10:00Z id\ndrilled"
    )
    said = said.replace("done", "failed").replace(
        "before=ready", "before=hung\nwatch_wrong=given-up"
    )
    host.says(said + more)
    found = host.write()
    assert (found["gateway_up"], found["gateway_ready"]) == ("1", "0")
    assert found["gateway_last_ready_timestamp_seconds"] == "1796000000"
    assert found["drift_reasons"] == "3"
    assert {one for one in found if one.startswith("drift ")} == {
        'drift reason="label"',
        'drift reason="file .env"',
    }
    assert (found["backup_failed"], found["timers_missing"]) == ("1", "1")
    assert (found['watchdog_state state="hung"'], found["watchdog_gave_up"]) == ("1", "1")
    assert found["backup_last_success_timestamp_seconds"] == "1795835400"
    assert (found["deploy_last_success"], found["host_reboot_required"]) == ("0", "1")


def test_how_the_last_pull_ended_is_seen(host: Host) -> None:
    host.says(SAID.replace("pull_state=waiting", "pull_state=converged"))
    assert host.write()['pull_converged state="converged"'] == "1"
    host.says(SAID.replace("pull_time=1795999000\npull_state=waiting\n", ""))
    assert not [one for one in host.write() if one.startswith("pull")], "none was there yet"


def test_a_gateway_that_is_gone_is_no_metric_of_another(host: Host) -> None:
    host.says("now=1\nstopped=2026-11-29 by me\ndeployed=yes\n")
    found = host.write()
    assert (found["gateway_up"], found["gateway_ready"], found["gateway_stopped"]) == (
        "0",
        "0",
        "1",
    )
    assert not [one for one in found if re.match("gateway_(info|memory|restarts|start|last)", one)]


def test_who_does_not_say_all_is_seen(host: Host) -> None:
    host.says("now=1\nstate=running\n", end="exit 1")
    found = host.write()
    assert (found["watch_success"], found["gateway_up"]) == ("0", "1")
    assert not {"gateway_ready", "deployed", "gateway_stopped"} & set(found), "nothing is guessed"


HOSTILE = [
    'x"} 1\nevil',
    "a\\",
    "\\",
    "\x1b]0;title\x07",
    "é\xff",
    "x" * 100000,
    "openclaw_gateway_up 1",
    '",evil="1',
]


@pytest.mark.parametrize("value", HOSTILE)
def test_what_an_image_says_is_a_label_and_no_more(host: Host, value: str) -> None:
    lines = [
        f"{key}={value}"
        for key in (
            *("image", "image_id", "version", "drift", "restarts", "memory", "started"),
            *("timers", "watch_before", "watch_wrong", "watch_total", "pull_state"),
        )
    ]
    lines += [f"sandboxes={value} {value}", f"deploy={value} {value}", f"made={value}"]
    host.says("\n".join(["now=1", "backups=yes", "state=running", *lines]), full="")
    found = host.write()
    assert host.file.stat().st_size < 16384
    text = host.file.read_bytes()
    assert not set(text) - {10, *range(32, 127)}
    for line in text.decode().splitlines():
        one = re.fullmatch(r'openclaw_\w+\{(\w+="([^"\\]|\\["\\])*",?)+\} [0-9]+', line)
        assert line.startswith("# ") or one, line
    assert "evil" not in str([re.sub(r'"(?:[^"\\]|\\.)*"', "", one) for one in found])
    checked(text)


def checked(text: bytes) -> None:
    """Have Prometheus' own tool read it, where that is."""
    if program := shutil.which("promtool"):
        done = subprocess.run([program, "check", "metrics"], input=text, capture_output=True)
        assert done.returncode == 0, done.stderr


def test_prometheus_finds_nothing_to_say_of_the_names(host: Host) -> None:
    host.write()
    checked(host.file.read_bytes())


# What is written to a host


def on(directories: Any = None, **watch: Any) -> Settings:
    more = {"directories": directories} if directories else {}
    return Settings.model_validate({"watch": {"metrics": True, **watch}, **more})


SYSTEMD = {"system": "id=debian\nrelease=12\nsystemd=", "metrics": "systemd"}
RUNS = "there\nsystemd\nours\nruns prometheus-node-exporter\nruns openclaw-metrics.timer"


def sent(wanted: Settings, **answers: str) -> list[str]:
    there = {"files": "", "packages": "", **SYSTEMD, **answers}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(question, "script", lambda _: templates.render("watch/memory.sh"))
        return [one.stdin for one in commands(metrics.shown, there, settings=wanted)]


def there(settings: Settings, systemd: bool = True) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(question, "script", lambda _: templates.render("watch/memory.sh"))
        plan = metrics.wanted(settings, systemd)
    return "\n".join(
        f"regular file|{one.mode}|0:0|{files.digest(one.content)}|{one.path}" for one in plan
    )


INSTALLED = "installed prometheus-node-exporter 1.5.0"


def test_it_is_closed_before_it_comes_and_shown_once() -> None:
    (script,) = sent(on())
    assert "--web.listen-address=127.0.0.1:9100" in script
    assert script.index("web.listen-address") < script.index("packages_install prometheus-node")
    shown = {"metrics": RUNS, "packages": INSTALLED, "files": there(on())}
    assert sent(on(), **shown) == []
    assert sent(on(metrics_port=9200), **shown)
    assert sent(on(), **{**shown, "metrics": "there\nsystemd\nours"}), "it was stopped"
    assert sent(Settings(), metrics="") == []
    (off,) = sent(Settings(), metrics="there")
    assert "packages_purge prometheus-node-exporter" in off


def test_what_cannot_be_written_ends_it(tmp_path: Path) -> None:
    (tmp_path / "claw").touch()
    (script,) = sent(on(directories={"project": str(tmp_path / "claw")}))
    (tmp_path / "mkdir").symlink_to(str(shutil.which("mkdir")))  # and no apt
    done = subprocess.run(
        ["/bin/sh", "-s"],
        input=script,
        capture_output=True,
        text=True,
        env={"PATH": str(tmp_path)},
        timeout=60,
    )
    assert done.returncode != 0
    assert len(done.stderr.splitlines()) == 1 and "mkdir" in done.stderr, done.stderr


def test_by_cron_where_there_is_no_systemd() -> None:
    host = {"system": "id=debian\nrelease=12", "metrics": "cron"}
    (script,) = sent(on(), **host)
    assert (
        "/etc/cron.d/openclaw-metrics" in script
        and "systemctl" not in script.partition("cannot be installed")[2].partition("left=30")[0]
    )
    shown = {"metrics": "there\ncron\nours\nruns prometheus-node-exporter"}
    shown |= {"system": host["system"], "packages": INSTALLED, "files": there(on(), systemd=False)}
    assert sent(on(), **shown) == []


@pytest.mark.parametrize(
    ("said", "what"),
    [
        ("systemd", ""),
        (
            "systemd\nlistener 00000000 nginx (pid 7)",
            "port 9100 of the host is in use by nginx (pid 7) on 0.0.0.0",
        ),
        ("systemd\nours\nexporter 0100007F", ""),
        ("systemd\nforeign\nexporter 00000000", "on the host already, and not by the toolkit"),
        ("cron", ""),
        ("", "neither systemd nor a cron"),
    ],
)
def test_what_keeps_a_host_from_it_is_one_error(said: str, what: str) -> None:
    found = judged(metrics.problems, on(), {"metrics": said, "packages": INSTALLED})
    assert [what in one.what for one in found] == ([True] if what else []), found


def test_the_port_is_not_the_gateways() -> None:
    found = judged(metrics.problems, on(metrics_port=18789), {"metrics": "systemd"})
    assert [one.what for one in found] == ["watch.metrics_port is 18789, which is the gateway's"]


def test_nothing_is_said_where_none_are_wanted() -> None:
    assert judged(metrics.problems, Settings(), {"metrics": ""}) == []
