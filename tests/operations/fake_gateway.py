"""A gateway that is a few files, for the scripts that stop, start and swap one, and a way to cut
them at any of their steps."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
import weakref
from pathlib import Path
from typing import Any

from operations.base import templates
from operations.base.quoting import Script
from operations.gateway import state_copy
from toolkit import secret_names
from toolkit.settings.exposure import Exposure

FUNCTIONS = r"""
fake={fake}
gateway_files="docker-compose.yml .env"
gateway_tag=openclaw:local gateway_log_command=log
bounded() {{ shift 2; "$@"; }}
has_docker() {{ true; }}
docker() {{
  if [ "$1" = tag ]; then
    echo "docker $*" >>$fake/tags
    case $3 in *:local) echo "$2" >$fake/local ;; esac
    return
  fi
  echo "docker $*" >>$fake/asked
  [ ! -e $fake/engine ] || . $fake/engine
}}
image_id() {{ cat $fake/local 2>/dev/null || echo sha256:{image}; }}
ids() {{ cat; }}
room() {{ echo 1000000; }}
gateway_status() {{ cat $fake/status 2>/dev/null; }}
gateway_runs() {{ [ "$(gateway_status)" = running ]; }}
gateway_health() {{ :; }}
gateway_restarts() {{ echo asked >>$fake/restarts; echo 0; }}
gateway_exit_code() {{ cat $fake/code 2>/dev/null || echo 0; }}
gateway_image() {{ [ ! -e $fake/label ] || cat $fake/image 2>/dev/null || image_id; }}
gateway_label() {{ cat $fake/label 2>/dev/null; }}
wanted_label() {{ sed -n 's/^ *openclaw-pyinfra.project: "\(.*\)"$/\1/p' "$1/docker-compose.yml"; }}
gateway_variables() {{ cat $fake/env; }}
gateway_log() {{ echo "a line of the log with the-hidden-value"; }}
gateway_run() {{ :; }}
gateway_stop() {{
  echo stop >>$fake/done
  until [ ! -e $fake/turn ]; do sleep 0.05; done
  echo exited >$fake/status
}}
gateway_start() {{
  echo exited >$fake/status
  image_id >$fake/image
  cp .env $fake/env && wanted_label . >$fake/label && echo running >$fake/status
  echo start >>$fake/done
}}
gateway_start_again() {{ echo start again >>$fake/done; echo running >$fake/status; }}
gateway_restart() {{ gateway_start_again; }}
gateway_resume() {{ :; }}
gateway_prune() {{ :; }}
gateway_exec() {{
  case "$*" in
    *input-type=module*)
      [ -e $fake/lossy ] && cmp -s $fake/image $fake/lossy && set -- afterwards || set -- held
      cat $fake/$1 ;;
    *node*)
      given=$(sed -n 's/.*Buffer.from("\([^"]*\)".*/\1/p' | base64 -d)
      case $(grep ^OPENCLAW_GATEWAY_TOKEN= $fake/env) in
        "OPENCLAW_GATEWAY_TOKEN=$given") echo accepted ;;
        *) echo refused AUTH_TOKEN_MISMATCH ;;
      esac ;;
    *printf*) sed -n "s/^${{6-$5}}=//p" $fake/env | head -c -1 ;;
  esac
}}
"""
OWNERSHIP = "gateway_to_own() { :; }\ngateway_own() { :; }\ngateway_makes_volume() { false; }\n"
CURL = r"""#!/bin/sh
case "$*" in
  *tools/invoke*)
    case $(cat) in
      "authorization: Bearer $(sed -n 's/^OPENCLAW_GATEWAY_TOKEN=//p' {fake}/env)") printf 400 ;;
      *) printf 401 ;;
    esac ;;
  *)
    if grep -qsx running {fake}/status && ! grep -qsf {fake}/broken {fake}/env; then printf 200
    else printf 503; fi ;;
esac
"""
STEP = r"""#!/bin/sh
[ -w {fake} ] || exec {real} "$@"
read -r count <{fake}/steps || count=0
count=$((count + 1))
echo $count >{fake}/steps
if [ $count = "${{KILL_AT-}}" ]; then kill -9 -$(ps -o sid= -p $$ | tr -d ' '); fi
exec {real} "$@"
"""
STEPS = ("awk", "chown", "cp", "grep", "mkdir", "mktemp", "mv", "rm", "sha256sum", "touch")
CLOCK = '#!/bin/sh\ncase $1 in +%s) ;; *) exec {real} "$@" ;; esac\n'
CLOCK += "read -r now <{fake}/clock\nnow=$((now + 1))\necho $now >{fake}/clock\necho $now\n"
"""A second has passed whenever somebody asks for the time."""


class Gateway:
    """What the functions know, in a directory of its own, beside the deployment's."""

    def __init__(self, directory: Path) -> None:
        self.fake, self.project = directory / "fake", directory / "opt"
        self.config, self.rollback = directory / "config", directory / "rollback"
        for path in (self.fake, self.project / "run", self.config, self.rollback):
            path.mkdir(parents=True)
        self.set("clock", "1000\n")
        # The owner of the state uses them too, and does not get into pytest's directories.
        self.programs = Path(tempfile.mkdtemp(prefix="clawtest-programs-"))
        self.programs.chmod(0o755)
        weakref.finalize(self, shutil.rmtree, self.programs, ignore_errors=True)
        self._program("curl", CURL.format(fake=self.fake))
        self._program("date", CLOCK.format(fake=self.fake, real=shutil.which("date")))
        self._program("sleep", f"#!/bin/sh\nexec {shutil.which('sleep')} 0.02\n")
        for name in STEPS:
            real = shutil.which(name)
            text = STEP.format(fake=self.fake, real=real)
            self._program(name, text)

    @property
    def functions(self) -> Script:
        return Script(FUNCTIONS.format(fake=self.fake, image="a" * 64))

    def says(self, name: str) -> str:
        path = self.fake / name
        return path.read_text().strip() if path.exists() else ""

    def set(self, name: str, text: str = "") -> None:
        (self.fake / name).write_text(text)

    def start(self, script: str, mode: str, kill_at: int | None = None) -> subprocess.Popen[str]:
        """Start a script as the command of an operation does."""
        path = self.project / "run/script.sh"
        path.write_text(script)
        self.set("steps")
        environment = {**os.environ, "PATH": f"{self.programs}:{os.environ['PATH']}"}
        environment["KILL_AT"] = str(kill_at or "")
        return subprocess.Popen(
            ["sh", str(path), mode],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
            start_new_session=True,
        )

    def run(self, script: str, mode: str, kill_at: int | None = None) -> tuple[int, str]:
        """Run a script; its status, and what it said."""
        process = self.start(script, mode, kill_at)
        try:
            said, _ = process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        return process.returncode, said

    def steps(self) -> int:
        return int(re.sub(r"\D", "", self.says("steps")) or 0)

    def activation(self, **more: Any) -> str:
        """The script that swaps it."""
        given: dict[str, Any] = {
            "job": "activate",
            "service": False,
            "inputs_variable": "X",
            "token": "OPENCLAW_GATEWAY_TOKEN",
            "docker": self.functions,
            "ownership": Script(OWNERSHIP),
            "kind": "container",
            "uid": 0,
            "directories": [],
            "name": "openclaw",
            "project": str(self.project),
            "config": str(self.config),
            "rollback": str(self.rollback),
            "url": "http://127.0.0.1:1",
            "timeout": 20,
            "secret_parts": secret_names.LOGGED,
            "secrets": [],
            "reload_seconds": 1,
            "pair_seconds": 60,
            "state_seconds": 60,
            "generations": str(self.rollback.parent / "generations"),
            "keep_generations": 3,
            "backups": str(self.rollback.parent / "backups"),
            "memory_bytes": 1,
            "spare_bytes": 1,
            "state_inside": "/home/node/.openclaw",
            **state_copy.variables("rehearsal", False, "openclaw", 1, "3g", 9),
            "environment": state_copy.environment(Exposure()),
            "auth": str(self.rollback.parent / "auth"),
        }
        return templates.render("compose/activate.sh.j2", **(given | more))

    def _program(self, name: str, text: str) -> None:
        (self.programs / name).write_text(text)
        (self.programs / name).chmod(0o755)
