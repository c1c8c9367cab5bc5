"""What can happen to a lab host, on request, and how it is put right."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable

from lab import hosts as lab

FULL = "/run/lab-full"
# A full file system of a megabyte is laid over the places that a deploy writes to; what is there
# stays to be seen. The engine's own data is left out: its containers have it mounted.
FILL = f"""
set -e
! mountpoint -q {FULL} || exit 0
mkdir -p {FULL} && mount -t tmpfs -o size=1m lab-full {FULL}
for kept in docker containerd; do
  mkdir {FULL}/$kept
  mount --rbind /var/lib/$kept {FULL}/$kept && mount --make-rprivate {FULL}/$kept
done
for place in /opt /var/lib /tmp /home; do
  own={FULL}/$(echo $place | tr / _)
  mkdir "$own" "$own.work" && chmod --reference=$place "$own"
  mount -t overlay -o "lowerdir=$place,upperdir=$own,workdir=$own.work" lab-full $place
done
for kept in docker containerd; do
  mount --rbind {FULL}/$kept /var/lib/$kept && mount --make-rprivate /var/lib/$kept
done
cat /dev/zero >{FULL}/ballast 2>/dev/null || true
"""
EMPTY = f"""
mountpoint -q {FULL} || exit 0
umount -l /var/lib/docker /var/lib/containerd /opt /var/lib /tmp /home
umount -l {FULL}/docker {FULL}/containerd
umount -l {FULL}
"""
# Not `systemctl stop`: nobody gets to clean up.
KILL = """
systemctl kill --kill-who=main --signal=KILL docker.service || exit 1
systemctl stop docker.service docker.socket
"""


HOLDING = f"""
[ "$(cat /sys/class/net/eth0/carrier)" = 1 ] || echo cut-network
! mountpoint -q {FULL} || echo fill-disk
! command -v dockerd >/dev/null || systemctl is-active -q docker.service || echo kill-engine
"""


def holding(host: lab.Host) -> list[str]:
    """The names of what is broken on a host."""
    return lab.inside(host.container, HOLDING).split()


def _in(host: lab.Host, script: str) -> None:
    lab.inside(host.container, script)


def _cable(host: lab.Host, state: str) -> None:
    """Set the host's end of the cable on the outer machine; what runs inside only sees silence."""
    inside = lab.inside(host.container, "ip -oneline link show eth0")
    number = re.search(r"eth0@if(\d+):", inside)
    links = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    end = number and re.search(rf"^{number[1]}: (\w+)@", links, re.M)
    if not end:
        raise lab.LabError(f"{host.name}: its end of the network on this machine is not there")
    subprocess.run(["ip", "link", "set", end[1], state], check=True)


def _reboot(host: lab.Host) -> None:
    lab.container(host.container).restart(timeout=20)
    lab.wait(host.name)


def _kill_engine(host: lab.Host) -> None:
    if not lab.inside(host.container, "command -v dockerd || true"):
        raise lab.LabError(f"{host.name} has no engine yet: ./claw up first")
    _in(host, KILL)


BREAKS: dict[str, tuple[str, Callable[[lab.Host], None]]] = {
    "cut-network": ("unplug it; connections hang", lambda host: _cable(host, "down")),
    "fill-disk": ("no space is left in /opt, /var/lib, /tmp", lambda host: _in(host, FILL)),
    "kill-engine": ("kill its Docker Engine, which stays down", _kill_engine),
    "reboot": ("boot it again; it comes back by itself", _reboot),
}
MENDS: dict[str, Callable[[lab.Host], None]] = {
    "cut-network": lambda host: _cable(host, "up"),
    "fill-disk": lambda host: _in(host, EMPTY),
    "kill-engine": lambda host: _in(host, "systemctl start docker.socket docker.service"),
}
