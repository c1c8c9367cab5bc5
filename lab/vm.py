"""A VPS as a virtual machine in software emulation: a Debian with a kernel of its own, cgroup v2
and AppArmor, which hosts of the laboratory do not have.

It is some ten times slower than they are. OpenClaw's own leases are lost there, which count seconds
of the clock, unless the guest's clock counts its instructions (`boot(tied=True)`): a second in it
then takes several here, and its clock falls behind.
"""

from __future__ import annotations

import lzma
import os
import shlex
import shutil
import signal
import socket
import subprocess
import time
import zlib
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lab import hosts, seed
from lab.client import DATA, LabError
from lab.making import key, log, one_at_a_time

PLACE = DATA / "vm"
NEEDED = {
    "mmdebstrap": "mmdebstrap",
    "qemu-img": "qemu-utils",
    "mkfs.ext4": "e2fsprogs",
    "zstd": "zstd",
}
EMULATOR_SUITE = "trixie"
"""Whose QEMU it is, unpacked beside this machine's own: half as fast again as that of Debian 12."""
# What a provider's image has, but cloud-init and a boot loader; nothing that the toolkit brings.
PACKAGES = (
    "linux-image-cloud-amd64,initramfs-tools,systemd,systemd-sysv,systemd-resolved,dbus,udev,kmod,"
    "libpam-systemd,openssh-server,sudo,python3,iproute2,iputils-ping,procps,curl,ca-certificates,"
    "apparmor,cron,logrotate,less,netbase,tzdata,e2fsprogs"
)
GIBIBYTES = 24
APPEND = "root=/dev/vda rw console=ttyS0 mitigations=off quiet"
TIED = ["-rtc", "base=utc,clock=vm", "-icount", "shift=0,sleep=off"]
"""https://www.qemu.org/docs/master/system/invocation.html: a nanosecond for an instruction."""
BOOT_SECONDS = 1800


def obstacle() -> str | None:
    """Why this machine cannot have one; None when it can."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return "a virtual machine's disk is made by root, with Debian's packages"
    return None


@dataclass(frozen=True)
class Machine:
    """A virtual machine by its name; what is kept of it is in `directory`."""

    name: str
    suite: str = "trixie"
    memory: int = 6144
    """MiB: a gateway, its sandboxes and a second gateway that proves them."""

    @property
    def directory(self) -> Path:
        return PLACE / self.name

    @property
    def disk(self) -> Path:
        return self.directory / "disk.qcow2"

    @cached_property
    def port(self) -> int:
        """Where its sshd is reached, on this machine's loopback."""
        kept = self.directory / "port"
        if not kept.exists():
            with socket.socket() as listener:
                listener.bind(("127.0.0.1", 0))
                kept.write_text(str(listener.getsockname()[1]))
        return int(kept.read_text())

    def make(self) -> None:
        """Make its disk, anew if there is one; it does not run then."""
        base = image(self.suite)
        self.cut()
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(parents=True)
        _run("qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", base / "disk", self.disk)
        host_key = (base / "ssh_host_ed25519_key.pub").read_text().split()[:2]
        known = f"[127.0.0.1]:{self.port} {' '.join(host_key)}\n"
        (self.directory / "known_hosts").write_text(known)

    def boot(self, tied: bool = False) -> None:
        """Start it, and wait until it has booted; `tied`: its clock counts its instructions."""
        log.info("booting %s%s", self.name, ", its clock tied to its instructions" if tied else "")
        base = image(self.suite)
        argv = [
            *(str(emulator()), "-name", self.name, "-nodefaults", "-display", "none"),
            *("-accel", "tcg,thread=single,tb-size=512", "-machine", "pc,usb=off,vmport=off"),
            *("-cpu", "Westmere", "-smp", "1", "-m", str(self.memory)),
            *("-kernel", str(base / "kernel"), "-initrd", str(base / "initrd"), "-append", APPEND),
            *(TIED if tied else ["-rtc", "base=utc,clock=host"]),
            *("-drive", f"file={self.disk},if=virtio,format=qcow2,cache=unsafe,discard=unmap"),
            *("-netdev", f"user,id=net,ipv6=off,hostfwd=tcp:127.0.0.1:{self.port}-:22"),
            *("-device", "virtio-net-pci,netdev=net,romfile=", "-device", "virtio-rng-pci"),
            *("-serial", f"file:{self.directory / 'console.log'}"),
            *("-pidfile", str(self.directory / "pid"), "-daemonize"),
        ]
        _run(*argv)
        self.wait()

    def wait(self, since: str = "") -> None:
        """Until it has booted and sshd accepts our key; not in the boot whose id is `since`."""
        end = time.monotonic() + BOOT_SECONDS
        asked = "systemctl is-system-running --wait >&2; cat /proc/sys/kernel/random/boot_id"
        while (boot := self.ssh(asked).stdout.strip()) in ("", since):
            if time.monotonic() > end or not self.pid:
                said = (self.directory / "console.log").read_text(errors="replace")[-2000:]
                raise LabError(f"{self.name} does not boot ({boot or 'no answer'}): {said}")
            time.sleep(1)
        self.set_clock()

    def set_clock(self) -> None:
        """Bring its clock to this machine's: one that is tied falls behind, and is refused."""
        self.ssh(f"date -s @{time.time() + 1:.0f}")

    def reboot(self) -> None:
        """Have it boot again by itself, as its owner would."""
        boot = self.ssh("cat /proc/sys/kernel/random/boot_id").stdout.strip()
        self.ssh("systemctl reboot")
        self.wait(since=boot)

    def cut(self) -> None:
        """Take its power away, with what it has written on its disk; nothing if it does not run."""
        if not self.pid:
            return
        self.ssh("sync")
        if pid := self.pid:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)  # the disk's own index is written then
        while self.pid:
            time.sleep(0.1)

    def remove(self) -> None:
        self.cut()
        shutil.rmtree(self.directory, ignore_errors=True)

    @property
    def pid(self) -> int | None:
        """The process of its emulator, if it runs."""
        with suppress(OSError, ValueError):
            pid = int((self.directory / "pid").read_text())
            if str(self.disk).encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                return pid
        return None

    @property
    def connection(self) -> dict[str, Any]:
        """How pyinfra reaches it."""
        known = str(self.directory / "known_hosts")
        own = {"ssh_port": self.port, "ssh_known_hosts_file": known}
        return hosts.connection("127.0.0.1") | own

    def ssh(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a shell command there as root; its code is 255 when it does not answer."""
        known = self.directory / "known_hosts"
        options = ["-p", str(self.port), "-i", str(key()), "-o", f"UserKnownHostsFile={known}"]
        # It may take long to answer, and its emulation is fast with this cipher alone.
        options += ["-o", "BatchMode=yes", "-o", "ConnectTimeout=120", "-c", "aes128-ctr"]
        argv = ["ssh", "-F", "none", *options, "root@127.0.0.1", command]
        return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True)


def emulator() -> Path:
    """QEMU of a newer Debian, which needs nothing of this machine's."""
    place = PLACE / "emulator"
    start = place / "start"
    with one_at_a_time():
        if not start.exists():
            _installed()
            log.info("unpacking QEMU")
            shutil.rmtree(place, ignore_errors=True)
            place.parent.mkdir(parents=True, exist_ok=True)
            sources = place.with_suffix(".list")
            sources.write_text(seed.apt_sources(EMULATOR_SUITE))
            few = ["--variant=extract", '--aptopt=Apt::Install-Recommends "false"']
            _run("mmdebstrap", *few, "--include=qemu-system-x86", EMULATOR_SUITE, place, sources)
            lib, share = f"{place}/usr/lib/x86_64-linux-gnu", f"{place}/usr/share"
            start.write_text(
                "#!/bin/sh\n"
                f"exec {place}/usr/lib64/ld-linux-x86-64.so.2 --library-path {lib}"
                f" {place}/usr/bin/qemu-system-x86_64 -L {share}/qemu -L {share}/seabios"
                f' -L {place}/usr/lib/ipxe/qemu "$@"\n'
            )
            start.chmod(0o755)
    return start


def image(suite: str) -> Path:
    """Make what machines of a release begin with, once: disk, kernel, initrd, host key."""
    place = PLACE / f"image-{suite}"
    with one_at_a_time():
        if not place.exists():
            _installed()
            log.info("making the disk of virtual machines with %s", suite)
            new = PLACE / f"new-{suite}"
            shutil.rmtree(new, ignore_errors=True)
            new.mkdir(parents=True)
            _filled(suite, new)
            new.rename(place)
    return place


def _filled(suite: str, place: Path) -> None:
    root, sources = place / "root", place / "sources.list"
    sources.write_text(seed.apt_sources(suite))
    few = ["--variant=minbase", '--aptopt=Apt::Install-Recommends "false"']
    _run("unshare", "--mount", "mmdebstrap", *few, f"--include={PACKAGES}", suite, root, sources)
    written = {
        "etc/hostname": "claw-vm\n",
        "etc/hosts": "127.0.0.1 localhost\n127.0.1.1 claw-vm\n::1 localhost\n",
        "etc/fstab": "/dev/vda / ext4 rw,discard,errors=remount-ro 0 1\n",
        "etc/machine-id": "",
        "etc/systemd/network/80-dhcp.network": "[Match]\nName=en*\n\n[Network]\nDHCP=yes\n",
        "root/.ssh/authorized_keys": Path(f"{key()}.pub").read_text(),
    }
    trusted = (root / "etc/ssl/certs/ca-certificates.crt").read_text()
    for number, certificate in enumerate(seed.extra_cas(trusted)):
        written[f"usr/local/share/ca-certificates/lab-{number}.crt"] = certificate
    for path, text in written.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    (root / "root/.ssh").chmod(0o700)
    (root / "etc/apt/apt.conf.d/99mmdebstrap").unlink(missing_ok=True)  # no recommends
    inside = """
update-ca-certificates >/dev/null
systemctl --quiet enable systemd-networkd systemd-resolved ssh
ln -sf ../run/systemd/resolve/stub-resolv.conf /etc/resolv.conf
"""
    _run("chroot", root, "sh", "-euc", inside)
    (kernel,), (initrd,) = (list(root.glob(f"boot/{name}-*")) for name in ("vmlinuz", "initrd.img"))
    (place / "kernel").write_bytes(_unpacked(kernel.read_bytes()))
    shutil.copy(initrd, place / "initrd")
    shutil.copy(root / "etc/ssh/ssh_host_ed25519_key.pub", place)
    with (place / "disk").open("wb") as disk:
        disk.truncate(GIBIBYTES << 30)
    _run("mkfs.ext4", "-q", "-E", "lazy_itable_init=0", "-d", root, place / "disk")
    shutil.rmtree(root)


def _unpacked(kernel: bytes) -> bytes:
    """Return the kernel that is compressed in an image: the guest need not do it, slowly."""
    ways = {
        b"\x28\xb5\x2f\xfd": lambda data: (
            subprocess.run(
                ["zstd", "-dcq"], input=data, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            ).stdout
        ),
        b"\xfd7zXZ\x00": lambda data: lzma.LZMADecompressor().decompress(data),
        b"\x1f\x8b\x08": lambda data: zlib.decompressobj(31).decompress(data),
    }
    for magic, unpack in ways.items():
        at = kernel.find(magic)
        while at >= 0:
            with suppress(lzma.LZMAError, zlib.error):  # it only looks like one
                if (found := unpack(kernel[at:])).startswith(b"\x7fELF"):
                    return found
            at = kernel.find(magic, at + 1)
    return kernel


def _installed() -> None:
    """Have Debian's packages on this machine for the commands that are not there."""
    if lacking := [package for command, package in NEEDED.items() if not shutil.which(command)]:
        _run("apt-get", "-qq", "install", "-y", "--no-install-recommends", *lacking)


def _run(*argv: str | Path) -> None:
    words = [str(word) for word in argv]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        raise LabError(f"{shlex.join(words)}: {done.returncode}\n{done.stderr[-2000:]}")
