"""Debian's Prometheus and Alertmanager watch three hosts by what docs/monitoring/ gives them: every
alert is seen to fire and to resolve. The gateways are stand-ins (`monitoring_job`)."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab import hosts as lab
from operations.watch import metrics
from tests.e2e.conftest import MakeDeployment
from tests.e2e.harness import ROOT, free_port, until
from tests.e2e.monitoring_job import CERTIFICATES, DOMAIN, Job

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not shutil.which("prometheus-alertmanager"), reason="Debian's packages"),
]

MONITORING = ROOT / "docs/monitoring"
HOSTS = {"monitored-a": "bookworm", "monitored-b": "trixie", "monitored-c": "bookworm"}
TEXTFILE = f"{metrics.DIRECTORY}/openclaw.prom"
NOTES = "/var/lib/openclaw/backup"
CERTIFICATE = f"{CERTIFICATES}/{DOMAIN}.crt"
LONG_AGO = "date -u -d '400 days ago' +%Y-%m-%dT%H:%M:%SZ"
NOW = "date -u +%Y-%m-%dT%H:%M:%SZ"
LOG = "/var/log/openclaw-deploy.log"
TIMER = "openclaw-metrics.timer"
PULL = "/var/lib/openclaw-pyinfra/openclaw.pull"
WATCH = "/opt/openclaw/watch/watch.sh"
SEEN = "/run/openclaw-pyinfra/openclaw.watch/gateway"
TROUBLE = {
    "OpenClawHostDown": (
        "systemctl stop prometheus-node-exporter",
        "systemctl start prometheus-node-exporter",
    ),
    "OpenClawMetricsStale": (
        f"systemctl stop {TIMER} openclaw-metrics.service; touch -d '1 hour ago' {TEXTFILE}",
        f"systemctl start {TIMER}",
    ),
    "OpenClawMetricsMissing": (
        f"systemctl stop {TIMER} openclaw-metrics.service; rm {TEXTFILE}",
        f"systemctl start {TIMER}",
    ),
    "OpenClawMetricsIncomplete": (
        "mv /opt/openclaw/watch/status.sh /srv/status.sh",
        "mv /srv/status.sh /opt/openclaw/watch/status.sh",
    ),
    "OpenClawGatewayDown": (
        "echo exited >/srv/stand-in/state",
        "echo running >/srv/stand-in/state",
    ),
    "OpenClawGatewayNotReady": ("rm /srv/stand-in/ready", "touch /srv/stand-in/ready"),
    "OpenClawGatewayRestarts": ("echo 2000 >/srv/stand-in/restarts", ""),
    "OpenClawGatewayMemory": (
        "curl -s http://127.0.0.1:18789/hold",
        "curl -s http://127.0.0.1:18789/free",
    ),
    "OpenClawDiskSpace": (
        "cp -a /var/lib/openclaw /srv && mount -t tmpfs -o size=64m tmpfs /var/lib/openclaw &&"
        " cp -a /srv/openclaw/. /var/lib/openclaw/",
        "umount /var/lib/openclaw",
    ),
    "OpenClawBackupFailed": (
        f'echo "$({NOW}) 0123abcd" >{NOTES}/made; echo "$({NOW}) failed no space" >{NOTES}/last',
        f'echo "$({NOW}) ok 0123abcd" >{NOTES}/last; rm {NOTES}/made',
    ),
    "OpenClawBackupOld": (
        f'echo "$({LONG_AGO}) ok 0123abcd" >{NOTES}/last',
        f'echo "$({NOW}) ok 0123abcd" >{NOTES}/last',
    ),
    "OpenClawBackupMissing": (
        f"rm {NOTES}/last",
        f'echo "$({NOW}) ok 0123abcd" >{NOTES}/last',
    ),
    "OpenClawWatchdogGaveUp": (
        f"touch {WATCH}; printf 'before=hung\\nwrong=given-up\\n' >{SEEN}",
        f"rm {WATCH} {SEEN}",
    ),
    "OpenClawTimerMissing": (
        "systemctl stop openclaw-backup.timer",
        "systemctl start openclaw-backup.timer",
    ),
    "OpenClawDrillFailed": (
        f'echo "$({NOW}) failed it did not start" >{NOTES}/drill-failed',
        f"rm {NOTES}/drill-failed",
    ),
    "OpenClawDrillOld": (
        f'echo "$({LONG_AGO}) ok 0123abcd 9" >{NOTES}/drilled',
        f'echo "$({NOW}) ok 0123abcd 9" >{NOTES}/drilled',
    ),
    "OpenClawCertificateExpires": (
        f"cp /srv/stand-in/short.crt {CERTIFICATE}",
        f"cp /srv/stand-in/first.crt {CERTIFICATE}",
    ),
    "OpenClawDrift": (
        "sed -i s/the-label/another/ /opt/openclaw/docker-compose.yml",
        "sed -i s/another/the-label/ /opt/openclaw/docker-compose.yml",
    ),
    "OpenClawPullFailed": (
        f"mkdir -p {PULL}; printf 'time=%s\\nstate=refused\\n' $(date +%s) >{PULL}/result",
        f"rm -r {PULL}",
    ),
    "OpenClawPullOld": (
        f"mkdir -p {PULL}; printf 'time=1000000000\\nstate=converged\\n' >{PULL}/result",
        f"rm -r {PULL}",
    ),
    "OpenClawDeployFailed": (
        f'tail -n 1 {LOG} | sed \'s/"result": "done"/"result": "failed"/\' >>{LOG}',
        f"sed -i '$d' {LOG}",
    ),
    "OpenClawSecurityUpdates": (
        "printf '#!/bin/sh\\necho \"a/stable-security 2 amd64 [upgradable from: 1]\"\\n'"
        " >/usr/local/bin/apt; rm -f /run/openclaw-pyinfra/openclaw.watch/hourly",
        "printf '#!/bin/sh\\n' >/usr/local/bin/apt; chmod 755 /usr/local/bin/apt;"
        " rm -f /run/openclaw-pyinfra/openclaw.watch/hourly",
    ),
    "OpenClawRebootRequired": ("touch /run/reboot-required", "rm /run/reboot-required"),
}
"""What is done on a host, and what ends it, by the alert that tells of it."""


class Told:
    """What Alertmanager has told its receiver."""

    def __init__(self) -> None:
        told: list[tuple[str, str, str]] = []
        self.told = told

        class Receiver(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                for one in said["alerts"]:
                    labels = one["labels"]
                    told.append((labels["alertname"], labels["host"], one["status"]))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def last(self, alert: str, host: str) -> str:
        found = [status for *named, status in self.told if named == [alert, host]]
        return found[-1] if found else ""


class Watched:
    """Three hosts, and the daemons on this machine that watch them."""

    def __init__(self, jobs: dict[str, Job], told: Told, prometheus: int) -> None:
        self.jobs, self.told, self.prometheus = jobs, told, prometheus

    def firing(self) -> set[tuple[str, str]]:
        url = f"http://127.0.0.1:{self.prometheus}/api/v1/alerts"
        with urllib.request.urlopen(url, timeout=10) as answer:
            alerts = json.load(answer)["data"]["alerts"]
        return {(one["labels"]["alertname"], one["labels"]["host"]) for one in alerts}


@contextmanager
def running(directory: Path, *argv: str) -> Iterator[None]:
    with (directory / f"{Path(argv[0]).name}.log").open("w") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        try:
            yield
        finally:
            process.terminate()
            process.wait()


def rewritten(rules: str) -> str:
    """The rules with little patience: what holds for days is seen after a second."""
    return re.sub(r"(?m)^( *for:) .*$", r"\1 1s", rules).replace("[1h]", "[15s]")


@contextmanager
def watching(directory: Path, jobs: dict[str, Job]) -> Iterator[Watched]:
    told, prometheus, alertmanager = Told(), free_port(), free_port()
    (directory / "openclaw-alerts.yml").write_text(
        rewritten((MONITORING / "alerts.yml").read_text())
    )
    config: dict[str, Any] = yaml.safe_load((MONITORING / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    (manager,) = config["alerting"]["alertmanagers"]
    manager["static_configs"] = [{"targets": [f"127.0.0.1:{alertmanager}"]}]
    (job,) = config["scrape_configs"]
    ports = {name: free_port() for name in jobs}
    job["static_configs"] = [
        {"targets": [f"127.0.0.1:{port}"], "labels": {"host": name}} for name, port in ports.items()
    ]
    (directory / "prometheus.yml").write_text(yaml.safe_dump(config))
    url = f"http://127.0.0.1:{told.server.server_port}/"
    route = {"receiver": "test", "group_by": ["..."], "group_wait": "0s", "group_interval": "1s"}
    receivers = [{"name": "test", "webhook_configs": [{"url": url, "send_resolved": True}]}]
    settings = {"global": {"resolve_timeout": "10s"}, "route": route, "receivers": receivers}
    (directory / "alertmanager.yml").write_text(yaml.safe_dump(settings))
    with ExitStack() as stack:
        for name, port in ports.items():
            forward = f"127.0.0.1:{port}:127.0.0.1:9100"
            ssh = ["ssh", "-F", str(lab.SSH_DIR / "config"), "-o", "ExitOnForwardFailure=yes"]
            stack.enter_context(running(directory, *ssh, "-l", "root", "-N", "-L", forward, name))
        stack.enter_context(
            running(
                directory,
                "prometheus-alertmanager",
                f"--config.file={directory}/alertmanager.yml",
                f"--storage.path={directory}/alertmanager",
                f"--web.listen-address=127.0.0.1:{alertmanager}",
                "--cluster.listen-address=",
            )
        )
        stack.enter_context(
            running(
                directory,
                "prometheus",
                f"--config.file={directory}/prometheus.yml",
                f"--storage.tsdb.path={directory}/tsdb",
                f"--web.listen-address=127.0.0.1:{prometheus}",
            )
        )
        yield Watched(jobs, told, prometheus)
        told.server.shutdown()


@pytest.fixture(scope="module")
def jobs(
    deployment: MakeDeployment, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Job]]:
    made = {
        name: Job(deployment(lab.up(name, suite)), tmp_path_factory.mktemp(name))
        for name, suite in HOSTS.items()
    }
    try:
        for job in made.values():
            job.make()
        starting = [
            threading.Thread(target=job.up, kwargs={"metrics": True}) for job in made.values()
        ]
        for thread in starting:
            thread.start()
        for thread in starting:
            thread.join()
        yield made
    finally:
        lab.down(*HOSTS)


def test_a_second_run_changes_nothing_and_nobody_else_hears_of_it(jobs: dict[str, Job]) -> None:
    for name, job in jobs.items():
        assert "nothing to change" in job.up(metrics=True).output, name
        listening = job.sh("ss -Hltn 'sport = :9100' | awk '{ print $4 }'")
        assert listening == "127.0.0.1:9100", name
        assert "openclaw-metrics.timer" in job.sh("systemctl list-timers 'openclaw*' --no-legend")
        served = job.sh("systemctl start openclaw-metrics.service; curl -s 127.0.0.1:9100/metrics")
        assert 'openclaw_gateway_ready{deployment="openclaw"} 1' in served
        assert "node_textfile_scrape_error 0" in served


def test_each_alert_fires_and_resolves(jobs: dict[str, Job], tmp_path: Path) -> None:
    names = list(jobs)
    for job in jobs.values():  # what waits there of updates is the mirror's
        job.sh(TROUBLE["OpenClawSecurityUpdates"][1])
    with watching(tmp_path, jobs) as watched:
        until(lambda: answers(watched), 60, "Prometheus")
        for job in jobs.values():
            job.metrics()
        until(lambda: not watched.firing(), 60, "nothing of hosts that are well")
        places = [(alert, names[number % 3]) for number, alert in enumerate(TROUBLE)]
        # Three at a time, each on its own host: one trouble may hide another.
        for at in range(0, len(places), 3):
            some = places[at : at + 3]
            for alert, name in some:
                begin(jobs[name], TROUBLE[alert][0])
            for place in some:
                until(lambda: watched.told.last(*place) == "firing", 60, f"{place} fires")  # noqa: B023
            others = watched.firing() - set(some)
            assert not others, others
            for alert, name in some:
                begin(jobs[name], TROUBLE[alert][1])
            for place in some:
                until(lambda: watched.told.last(*place) == "resolved", 90, f"{place} resolves")  # noqa: B023
            until(lambda: not watched.firing(), 60, "nothing is left of it")
    assert {alert for alert, _, _ in watched.told.told} == set(TROUBLE)


def begin(job: Job, command: str) -> None:
    """Do something on a host, and let it look at itself where its timer does."""
    job.sh(
        f"{command or ':'}; ! systemctl is-active -q {TIMER} || systemctl start openclaw-metrics"
    )


def answers(watched: Watched) -> bool:
    try:
        watched.firing()
    except OSError:
        return False
    return True


def test_a_port_that_is_taken_is_one_error(jobs: dict[str, Job]) -> None:
    done = jobs["monitored-a"].up(metrics=True, metrics_port=18789, expect=1)
    assert "watch.metrics_port is 18789, which is the gateway's" in done.output
    done = jobs["monitored-a"].up(metrics=True, metrics_port=443, expect=1)
    assert "port 443 of the host is in use by python3" in done.output
    assert "Traceback" not in done.output


def test_it_is_taken_away(jobs: dict[str, Job]) -> None:
    left = (
        "ls /etc/systemd/system/openclaw-metrics* /etc/cron.d/*metrics /etc/default/prometheus-*"
        " /run/openclaw-metrics /opt/openclaw/watch/metrics.sh 2>/dev/null;"
        " dpkg-query -W -f '${db:Status-Abbrev}' prometheus-node-exporter 2>/dev/null; true"
    )
    off, removed = jobs["monitored-a"], jobs["monitored-b"]
    assert off.sh(left)
    off.up(metrics=False)
    assert off.sh(left) in ("", "un"), "it was turned off"
    assert "nothing to change" in off.up(metrics=False).output
    removed.up(metrics=True)
    done = removed.deployment.claw(
        "remove", "-y", settings={**removed.settings, "watch": {"metrics": True}}, env={"NONE": "x"}
    )
    assert "prometheus-node-exporter" in done.output
    assert removed.sh(left) in ("", "un"), "the deployment was removed"
