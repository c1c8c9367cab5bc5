"""The deployment's own uid: no login of the host has it, and existing state moves to it."""

from __future__ import annotations

import pytest

from operations import container_user
from tests.e2e.harness import Deployment, until

pytestmark = [pytest.mark.engine, pytest.mark.whole]
KEPT = {"gateway": {"uid": 1000}}
STATE = """
cd /var/lib/{name}
find config workspace auth -xdev ! -path 'config/logs/*' -printf '%U:%G %m %y %p %l\\n' | sort
"""


def owners(gateway: Deployment) -> set[str]:
    return {line.split()[0] for line in gateway.sh(STATE.format(name=gateway.name)).splitlines()}


def test_no_login_has_the_uid_and_the_old_one_is_named(gateway: Deployment) -> None:
    uid = int(gateway.sh(f"stat -c %u /var/lib/{gateway.name}/config"))
    assert container_user.ours(uid)
    assert gateway.container()["Config"]["User"] == f"{uid}:{uid}"
    assert gateway.sh(f"getent passwd {uid}", expect=2) == ""
    assert gateway.in_gateway("whoami; id -u; echo ~").split() == ["node", str(uid), "/home/node"]
    assert owners(gateway) == {f"{uid}:{uid}"}
    pid = gateway.container()["State"]["Pid"]
    login = "setpriv --reuid 1000 --regid 1000 --clear-groups"
    for path in (
        f"/proc/{pid}/environ",
        f"/proc/{pid}/root/etc/passwd",
        f"/var/lib/{gateway.name}",
    ):
        gateway.sh(f"{login} ls -L {path}/ {path} 2>&1; ! {login} cat {path} >/dev/null 2>&1")
    gateway.sh(f"{login} kill -0 {pid}", expect=1)


def test_state_of_uid_1000_is_moved_between_stop_and_start(gateway: Deployment) -> None:
    own = int(gateway.sh(f"stat -c %u /var/lib/{gateway.name}/config"))
    place = f"/var/lib/{gateway.name}/workspace"
    odd = f"{place}/'a b; $(touch x)\\n'"
    gateway.claw("up", settings=KEPT)
    assert owners(gateway) == {"1000:1000"}
    assert gateway.container()["Config"]["User"] == "1000:1000"
    gateway.sh(
        f"mkdir {place}/odd; touch {odd}; ln -s /etc/passwd {place}/odd/link; "
        f"chown -hR 1000:1000 {place}; ln /etc/hostname {place}/odd/hard 2>/dev/null || :"
    )
    before = gateway.sh("stat -c '%u:%g %a' /etc/passwd /etc/hostname")
    token = gateway.token()
    moved = f"/opt/{gateway.name}/run/to-own"
    gateway.sh(f"rm -f {moved}")
    run = gateway.start("up")
    until(lambda: gateway.sh(f"cat {moved} 2>/dev/null", None), 600, "the move begins")
    run.popen.kill()
    run.popen.wait()
    gateway.claw("up")
    assert owners(gateway) - {"0:0"} == {f"{own}:{own}"}
    assert gateway.sh("stat -c '%u:%g %a' /etc/passwd /etc/hostname") == before
    assert gateway.token() == token
    assert gateway.http() == 200
    assert "nothing to change" in gateway.claw("up").output
    gateway.sh(f"rm -rf {place}/odd {odd}")
