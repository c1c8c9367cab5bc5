"""A host on which somebody else has apt: real apt, real locks, on both releases of Debian."""

from __future__ import annotations

import subprocess

import pytest

from lab import hosts as lab
from operations.base import templates

pytestmark = [pytest.mark.engine, pytest.mark.long]

# Holds a lock as apt does, until the file is gone.
HOLD = r"""
use Fcntl; open(my $f, "+>>", $ARGV[0]) or die;
my $lock = pack("s s x4 q q l x4", F_WRLCK, 0, 0, 0, 0);
fcntl($f, F_SETLK, $lock) or die;
open(my $m, ">", "/run/held"); close $m;
while (-e "/run/held") { select(undef, undef, undef, 0.1) }
"""
ALONE = "apt-get -qq -o DPkg::Lock::Timeout=0 {}"


@pytest.mark.parametrize("suite", ["bookworm", "trixie"])
@pytest.mark.parametrize(
    ("lock", "arguments"),
    [
        ("/var/lib/apt/lists/lock", "update"),
        ("/var/cache/apt/archives/lock", "install -y --download-only --reinstall hostname"),
        ("/var/lib/dpkg/lock-frontend", "install -y --reinstall hostname"),
    ],
)
def test_packages_are_installed_once_the_other_has_ended(
    lab_host, suite: str, lock: str, arguments: str
) -> None:
    host = lab_host(suite, "bare")
    lab.ssh(host.name, "dpkg --purge bc; rm -f /run/held; cat >/root/hold.pl", stdin=HOLD)
    hold = f"systemd-run -q --collect --unit=holder perl /root/hold.pl {lock}"
    held = "timeout 20 sh -c 'until [ -e /run/held ]; do sleep 0.1; done'"
    assert lab.ssh(host.name, f"{hold} && {held}").returncode == 0
    try:
        refused = lab.ssh(host.name, ALONE.format(arguments))  # what apt itself does
        assert refused.returncode and f"Could not get lock {lock}" in refused.stderr
        words = ["ssh", "-F", str(lab.SSH_DIR / "config"), "-l", "root", host.name, "sh -s -- bc"]
        process = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert process.stdin and process.stdout
        process.stdin.write(templates.render("packages/install.sh.j2"))
        process.stdin.close()
        said = process.stdout.readline()
        assert said.startswith(f"waiting for apt: {lock} is held by process"), said
        assert "(/usr/bin/perl /root/hold.pl" in said
        assert lab.ssh(host.name, "dpkg -s bc").returncode
    finally:
        lab.ssh(host.name, "rm -f /run/held")
    rest = process.stdout.read()
    assert process.wait() == 0, rest
    assert lab.ssh(host.name, "dpkg -s bc").returncode == 0
