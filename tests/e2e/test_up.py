"""`./claw up` over SSH: --dry on a bare host, a second run, a changed setting, the verbs."""

from __future__ import annotations

import json
import re

import pytest

from tests.e2e.harness import Deployment

pytestmark = pytest.mark.engine

KINDS = [
    ("bookworm", "root", "deployed"),
    pytest.param("trixie", "deploy", "deployed_trixie", marks=pytest.mark.whole),
]
EACH = pytest.mark.parametrize(
    "fixture", ["deployed", pytest.param("deployed_trixie", marks=pytest.mark.whole)]
)


@pytest.mark.parametrize(("suite", "user", "fixture"), KINDS)
def test_a_dry_run_on_a_bare_host_names_what_a_real_run_changes(
    suite, user, fixture, lab_host, deployment, request
):
    bare = deployment(lab_host(suite, "bare"), user=user)
    before = bare.fingerprint()
    dry = bare.claw("up", "--dry", "--json", expect=2)
    assert bare.fingerprint() ^ before == set()
    planned = dry.json["plan"][bare.vps.name]

    deployed: Deployment = request.getfixturevalue(fixture)
    if deployed.kept:
        pytest.skip("the host was deployed by an earlier run with --keep-lab")
    assert deployed.first
    assert planned == deployed.first.json["hosts"][deployed.vps.name]["changed"]
    assert dry.json["changed"] is False
    assert deployed.first.json["changed"] is True


@EACH
def test_a_second_run_changes_nothing(fixture, request):
    deployed: Deployment = request.getfixturevalue(fixture)
    before, was = deployed.fingerprint(), running(deployed)
    again = deployed.claw("up", "--json")
    assert again.json["changed"] is False
    assert again.json["hosts"][deployed.vps.name]["changed"] == []
    dry = deployed.claw("up", "--dry", "--json")
    assert dry.json["plan"] == {deployed.vps.name: []}
    assert running(deployed) == was
    assert deployed.fingerprint() ^ before == set()


@EACH
def test_the_summary_tells_where_to_go_and_no_secret(fixture, request):
    deployed: Deployment = request.getfixturevalue(fixture)
    said = deployed.claw("up").output
    assert "nothing to change" in said
    assert f"http://127.0.0.1:{deployed.port}/" in said
    tunnel = f"{deployed.port}:127.0.0.1:{deployed.port}"
    assert re.search(rf"ssh .*-L {tunnel} .*{deployed.user}@{re.escape(deployed.vps.ip)}", said)
    assert "./claw token" in said
    assert deployed.token() not in said


@pytest.mark.long
def test_a_changed_apt_list_keeps_the_download_and_the_state(deployed: Deployment):
    was, token, downloaded = running(deployed), deployed.token(), downloads(deployed)
    workspace = "/var/lib/openclaw/workspace"
    deployed.sh(f"echo mine >{workspace}/note && chown {deployed.owner} {workspace}/note")
    try:
        more = {"gateway": {"apt_packages": ["jq"]}}
        changed = deployed.claw("up", "--json", settings=more)
        assert deployed.in_gateway("command -v jq") == "/usr/bin/jq\n"
        assert downloads(deployed) == downloaded

        names = changed.json["hosts"][deployed.vps.name]["changed"]
        assert {name.partition(" | ")[0] for name in names} == {
            "Images",
            "Activation",
            "Record",
        }  # the image before stays, of a generation to go back to
        now = running(deployed)
        assert now[0] != was[0]
        assert deployed.container()["RestartCount"] == 0
        assert deployed.http() == 200
        assert deployed.token() == token
        assert deployed.sh(f"cat {workspace}/note") == "mine\n"

        again = deployed.claw("up", "--json", settings=more)
        assert again.json["changed"] is False
        assert running(deployed) == now
    finally:
        back = deployed.claw("up", "--json", expect=None)
    assert (back.returncode, back.json["changed"]) == (0, True)
    assert deployed.in_gateway("command -v jq || echo absent") == "absent\n"
    deployed.sh(f"rm {workspace}/note")


@EACH
def test_token_prints_the_token_of_the_host(fixture, request):
    deployed: Deployment = request.getfixturevalue(fixture)
    token = deployed.claw("token").stdout.strip()
    assert re.fullmatch("[0-9a-f]{64}", token)
    assert token == deployed.token()


def test_cli_runs_openclaws_own(deployed: Deployment):
    assert "2026.9.6" in deployed.claw("cli", "--", "--version").stdout
    patched = deployed.claw("cli", "--", "config", "get", "gateway.mode")
    assert patched.stdout.strip().strip('"') == "local"
    assert deployed.claw("cli", "--", "no-such-command", expect=None).returncode not in (0, 130)


def test_cli_reaches_the_running_gateway(deployed: Deployment):
    said = deployed.claw("cli", "--", "devices", "list", "--json").stdout
    assert "pending" in json.loads(said)


def test_status_and_logs(deployed: Deployment):
    document = deployed.claw("status", "--json").json
    assert "2026.9.6" in json.dumps(document)
    table = deployed.claw("status").stdout
    assert deployed.vps.name in table
    assert str(deployed.port) in table
    assert deployed.token() not in table + json.dumps(document)
    assert deployed.claw("logs").stdout.strip()


@pytest.mark.whole
def test_status_of_a_gateway_that_is_down_fails(deployed: Deployment):
    container = deployed.container()["Id"]
    deployed.sh(f"docker stop {container}")
    try:
        assert deployed.claw("status", expect=None).returncode == 1
        started = deployed.claw("up", "--json")
        assert started.json["hosts"][deployed.vps.name]["changed"]
        assert deployed.http() == 200
    finally:
        deployed.sh(f"docker start {container}", expect=None)


def running(deployed: Deployment) -> tuple[str, str]:
    """Which container runs, and since when."""
    container = deployed.container()
    assert container["State"]["Running"], container["State"]
    return container["Id"], container["State"]["StartedAt"]


def downloads(deployed: Deployment) -> str:
    """BuildKit's records of the steps that fetch OpenClaw; one that ran again has another id."""
    fetches = "docker buildx du --verbose | awk -v RS= '/npm.sh install / {print $2}'"
    found = deployed.sh(fetches)
    assert found.strip(), "no build step fetches OpenClaw"
    return found
