"""Whether a registry is reached is asked as the engine will ask it: by its own proxies."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from pyinfra.context import ctx_host

from operations.base import snapshot
from operations.engine import stage as engine
from operations.images import preflight, reachability
from tests.operations.hosts import FakeHost, at
from toolkit.settings import Settings

# Reaches the registry by one proxy alone; without APT_CONFIG it reads the host's configuration.
HELPER = """#!/bin/sh
echo "$*" >>@/arguments
proxy=$https_proxy
[ -n "$APT_CONFIG" ] || [ ! -e @/apt-proxy ] || proxy=$(cat @/apt-proxy)
case $proxy in "$WORKS") echo 'E: Failed to fetch X  401  Unauthorized' ;; *)
  echo "E: Failed to fetch https://registry.example/v2/  Could not connect to ${proxy:-nobody}" ;;
esac
exit 100
"""
APT_CONFIG = "#!/bin/sh\n[ ! -e @/apt-proxy ] || echo 'Acquire::http::Proxy \"x\";'\n"
DOCKER = "#!/bin/sh\ncat @/info\n"
SYSTEMCTL = """#!/bin/sh
case $1 in show) echo '"HTTPS_PROXY=http://unit:3128" NO_PROXY=a' ;; esac
"""
PROXY = "http://me:hunter2@proxy:3128"
NONE = {"engine": "", "access": "", "packages": "", "system": "", "files": "", "images": ""}


def ask(
    folder: Path,
    works: str,
    settings: Settings | None = None,
    *,
    environ: str | None = None,
    info: str | None = None,
    apt: str = "",
    login: str = "",
) -> str:
    """What the host says whose engine has this environment; None: its process is not known."""
    wanted = settings or Settings()
    with at(wanted, **NONE):
        script = str(reachability.reachability_script(wanted, "registry.example/x"))
    programs = folder / "bin"
    programs.mkdir()
    for name, text in {
        "apt-helper": HELPER,
        "apt-config": APT_CONFIG,
        "docker": DOCKER,
        "systemctl": SYSTEMCTL,
    }.items():
        (programs / name).write_text(text.replace("@", str(folder)))
        (programs / name).chmod(0o755)
    if apt:
        (folder / "apt-proxy").write_text(apt)
    script = script.replace("/usr/lib/apt/apt-helper", str(programs / "apt-helper"))
    for path in ("/var/run/docker.pid", "/etc/environment"):
        script = script.replace(path, str(folder / path.rpartition("/")[2]))
    if login:
        (folder / "environment").write_text(f'https_proxy="{login}"\n')
    process = None
    if environ is not None:
        variables = dict(pair.split("=", 1) for pair in environ.split())
        process = subprocess.Popen(["sleep", "60"], env={"PATH": os.environ["PATH"], **variables})
        (folder / "docker.pid").write_text(f"{process.pid}\n")
    if info is not None:
        (folder / "info").write_text(info)
        script = script.replace('-S "${DOCKER_HOST#unix://}"', "1")
    else:
        script = script.replace('-S "${DOCKER_HOST#unix://}"', '""')
    try:
        done = subprocess.run(
            ["sh", "-s"],
            input=script,
            env={"PATH": f"{programs}:/usr/bin:/bin", "WORKS": works},
            capture_output=True,
            text=True,
        )
    finally:
        if process:
            process.kill()
            process.wait()
    assert "hunter2" not in done.stdout + (folder / "arguments").read_text()
    return done.stdout.strip()


def test_a_proxy_that_the_engine_does_not_have_does_not_count(tmp_path: Path) -> None:
    said = ask(tmp_path, PROXY, environ="", apt=PROXY)
    assert said == f"Could not connect to nobody; {reachability.OTHER_PROXY}"


def test_nor_does_the_logins(tmp_path: Path) -> None:
    assert reachability.OTHER_PROXY in ask(tmp_path, PROXY, environ="", login=PROXY)


def test_an_engines_proxy_counts_that_apt_does_not_have(tmp_path: Path) -> None:
    assert ask(tmp_path, PROXY, environ=f"HTTPS_PROXY={PROXY}") == "reachable"


def test_an_engine_whose_process_is_not_known_says_itself(tmp_path: Path) -> None:
    info = "HTTP_PROXY=\nHTTPS_PROXY=http://proxy:3128\nNO_PROXY=\n"
    assert ask(tmp_path, "http://proxy:3128", info=info) == "reachable"


def test_an_engine_that_is_to_be_has_the_proxies_of_its_unit(tmp_path: Path) -> None:
    assert ask(tmp_path, "http://unit:3128") == "reachable"


def test_what_daemon_json_will_say_goes_before_what_the_process_has(tmp_path: Path) -> None:
    wanted = Settings.model_validate({"engine": {"daemon": {"proxies": {"https-proxy": PROXY}}}})
    assert ask(tmp_path, PROXY, wanted, environ="HTTPS_PROXY=http://old:1") == "reachable"


def test_neither_reaches_it_is_said_with_the_engines_proxy(tmp_path: Path) -> None:
    said = ask(tmp_path, "no", environ=f"https_proxy={PROXY}", apt="http://apt:3142")
    assert said.endswith("(by the engine's proxy http://proxy:3128)")
    assert reachability.OTHER_PROXY not in said


@pytest.mark.parametrize(
    ("without", "direct"),
    [
        ("registry.example", True),
        ("a.example,example", True),
        (".example:443", True),
        ("*", True),
        ("example.org,egistry.example", False),
        (".registry.example", False),
        ("", False),
    ],
)
def test_names_that_the_engine_asks_without_its_proxy(
    tmp_path: Path, without: str, direct: bool
) -> None:
    environ = f"HTTPS_PROXY={PROXY} NO_PROXY={without}"
    assert (ask(tmp_path, "", environ=environ) == "reachable") is direct


def test_the_problem_says_how_the_engine_gets_its_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = Settings.model_validate({"base_images": "registry"})
    monkeypatch.setattr(snapshot, "settings_for", lambda host: wanted)
    monkeypatch.setattr(
        snapshot, "run_quietly", lambda *_: f"Could not resolve; {reachability.OTHER_PROXY}"
    )
    with ctx_host.use(FakeHost(NONE)):
        (problem,) = preflight.registry_problems(wanted)
    assert reachability.OTHER_PROXY in problem.what and problem.stops
    assert "engine.daemon to {proxies: {http-proxy: URL" in problem.fix


def test_the_proxies_of_a_daemon_json_that_is_there_count() -> None:
    there = 'daemon=\ndaemon={"proxies": {"http-proxy": "http://there:1", "no-proxy": "a"}}'
    wanted = Settings.model_validate(
        {"engine": {"daemon": {"proxies": {"http-proxy": "http://own:2"}}}}
    )
    with at(wanted, **{**NONE, "engine": there}):
        assert engine.proxies(wanted.engine, own_engine=False) == {
            "http-proxy": "http://own:2",
            "no-proxy": "a",
        }
    with at(wanted, **{**NONE, "engine": "daemon=\ndaemon={"}):
        assert engine.proxies(wanted.engine, own_engine=False) == {}
