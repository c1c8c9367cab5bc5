"""What `.env` and the user's override decide beside secrets: facts in, problems out."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from operations.base import snapshot
from operations.gateway import environment_file
from tests.operations.hosts import judged, private_answer
from toolkit.settings import Settings

EXTRA = "/opt/openclaw/docker-compose.extra.yml"


def problems(
    monkeypatch: pytest.MonkeyPatch, text: str, override: str = "", **given: Any
) -> list[tuple[str, str]]:
    monkeypatch.setattr(snapshot, "read_quietly", lambda *_: private_answer(text, None, ""))
    answers = {"private": "absent\nabsent", "user-override": override, "files": ""}
    wanted = Settings.model_validate(given)
    checks = (environment_file.compose_problems, environment_file.environment_file_problems)
    found = [one for check in checks for one in judged(check, wanted, answers)]
    return [(one.what, one.fix) for one in found]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("COMPOSE_PROJECT_NAME=other", "COMPOSE_PROJECT_NAME is 'other'"),
        ("export COMPOSE_PROJECT_NAME='other'", "the deployment's project openclaw"),
        ("COMPOSE_FILE=mine.yml", "without docker-compose.yml"),
        ("COMPOSE_FILE=docker-compose.yml;mine.yml", "without docker-compose.yml"),
        ("COMPOSE_PROFILES=monitoring,cli", "COMPOSE_PROFILES has cli"),
        ("COMPOSE_PROFILES=*", "COMPOSE_PROFILES has cli"),
        ("OPENCLAW_STATE_DIR=/root/.openclaw", "at its own /home/node/.openclaw"),
        ("OPENCLAW_PROFILE=dev", "OPENCLAW_PROFILE is 'dev'"),
        ("OPENCLAW_WORKSPACE_DIR=/root/work", "directories.workspace in the settings"),
        ("OPENCLAW_CONFIG_DIR=/root/.openclaw", "directories.config: '/var/lib/openclaw/config'"),
        ("OPENCLAW_HOME_VOLUME=claw_home", "home_volume: None"),
        ("OPENCLAW_EXTRA_MOUNTS=/srv/a:/srv/a:ro", "extra_mounts"),
    ],
)
def test_a_line_that_leads_elsewhere_is_named(
    monkeypatch: pytest.MonkeyPatch, line: str, said: str
) -> None:
    ((what, fix),) = problems(monkeypatch, f"{line}\n")
    assert what.startswith("/opt/openclaw/.env: ") and said in f"{what} {fix}"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "MINE=1\nCOMPOSE_PROJECT_NAME=openclaw\nCOMPOSE_PARALLEL_LIMIT=2\nCOMPOSE_PROFILES=web\n",
        "COMPOSE_FILE=docker-compose.yml:docker-compose.extra.yml\n",  # the toolkit's own of before
        "COMPOSE_FILE=./docker-compose.yml:mine.yml\nCOMPOSE_PROFILES=\n",
        "COMPOSE_PATH_SEPARATOR=;\nCOMPOSE_FILE=docker-compose.yml;mine.yml\n",
        "OPENCLAW_CONFIG_DIR=/var/lib/openclaw/config/\nOPENCLAW_HOME_VOLUME=\nOPENCLAW_TZ=UTC\n",
        "OPENCLAW_STATE_DIR=/home/node/.openclaw\n",
        "OPENCLAW_IMAGE=openclaw:local\nOPENCLAW_GATEWAY_TOKEN=x\n",
        "broken line\n",
    ],
)
def test_other_lines_are_the_user_s(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    assert problems(monkeypatch, text) == []


def test_sandboxes_are_made_on_the_deployment_s_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "DOCKER_HOST=tcp://user:secret@elsewhere:2375\n"
    ((what, _),) = problems(monkeypatch, text, sandbox={"enabled": True, "socket": "socket"})
    assert "DOCKER_HOST names an engine" in what and "secret" not in what
    assert problems(monkeypatch, text) == []  # without sandboxes it is for the user's own tools


def test_the_user_s_own_files_need_the_extra_one(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "COMPOSE_FILE=docker-compose.yml:mine.yml\n"
    ((what, fix),) = problems(monkeypatch, text, home_volume="claw_home")
    assert "without docker-compose.extra.yml" in what
    assert "COMPOSE_FILE=docker-compose.yml:docker-compose.extra.yml:YOURS.yml" in fix


def test_an_override_that_compose_refuses_or_that_is_another_project_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ((what, _),) = problems(monkeypatch, "", "refused=yaml: line 1: \x1b]0;x")
    assert "Compose refuses /opt/openclaw/docker-compose.override.yml" in what
    assert what.isprintable()
    ((what, _),) = problems(monkeypatch, "", "name=other")
    assert "names another project, 'other'" in what
    assert problems(monkeypatch, "", "name=openclaw") == []


@pytest.mark.skipif(not shutil.which("docker"), reason="asks Compose")
@pytest.mark.parametrize(
    ("override", "said"),
    [
        (None, ""),
        ("services: {openclaw-gateway: {networks: [browsers], env_file: gone.env}}", "name=claw"),
        ("name: other", "name=other"),
        ("services: [", "refused=yaml"),
    ],
)
def test_compose_is_asked(tmp_path: Path, override: str | None, said: str) -> None:
    if subprocess.run(["docker", "compose", "version"], capture_output=True).returncode:
        pytest.skip("no Compose")
    (tmp_path / ".env").write_text("COMPOSE_PROJECT_NAME=from-env\n")
    if override is not None:
        (tmp_path / "docker-compose.override.yml").write_text(override)
    wanted = Settings.model_validate({"name": "claw", "directories": {"project": str(tmp_path)}})
    script = environment_file.Override.script(wanted)
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.startswith(said) and bool(done.stdout) is bool(said)
