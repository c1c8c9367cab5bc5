"""What docs/monitoring/ gives to Prometheus and Grafana: the rules by Prometheus' own tool, and
that nothing asks for a metric that no host has."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from operations.base import templates

HERE = Path(__file__).resolve().parents[2] / "docs/monitoring"
SCRIPT = (templates.DIRECTORY / "watch/metrics.sh.j2").read_text()
PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(not PROMTOOL, reason="promtool comes with Debian's prometheus")


def promtool(*words: str) -> None:
    done = subprocess.run([str(PROMTOOL), *words], cwd=HERE, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load((HERE / "alerts.yml").read_text())["groups"]
    return list(group["rules"])


def written() -> set[str]:
    return {f"openclaw_{name}" for name in re.findall(r'metric\("(\w+)"', SCRIPT)}


@needs_promtool
@pytest.mark.slow
def test_each_alert_fires_in_its_time_and_not_before() -> None:
    promtool("test", "rules", "alerts_test.yml", "alerts_days_test.yml")


@needs_promtool
def test_prometheus_takes_the_scrape_configuration(tmp_path: Path) -> None:
    whole = (HERE / "prometheus.yml").read_text()
    (tmp_path / "openclaw-alerts.yml").write_text((HERE / "alerts.yml").read_text())
    (tmp_path / "prometheus.yml").write_text(whole)
    promtool("check", "config", str(tmp_path / "prometheus.yml"))


def test_every_alert_has_a_test() -> None:
    tested = "".join(path.read_text() for path in HERE.glob("alerts_*test.yml"))
    assert set(re.findall(r'alertname="(\w+)"', tested)) == {rule["alert"] for rule in rules()}


def test_every_alert_says_what_and_where() -> None:
    for rule in rules():
        assert "$labels.host" in rule["annotations"]["summary"], rule["alert"]
        assert rule["labels"]["severity"] in ("warning", "critical"), rule["alert"]


def test_nothing_asks_for_a_metric_that_is_not_written() -> None:
    dashboard = json.loads((HERE / "dashboard.json").read_text())
    asked = [rule["expr"] for rule in rules()]
    asked += [one["expr"] for panel in dashboard["panels"] for one in panel.get("targets", ())]
    names = set(re.findall(r"\bopenclaw_\w+", " ".join(asked)))
    assert names and names <= written(), names - written()


def test_the_page_names_every_metric() -> None:
    page = (HERE / "README.md").read_text()
    assert not {name for name in written() if f"`{name}`" not in page}
