"""The kernel profiles: what is in them, and above all what is not."""

from __future__ import annotations

import ctypes
import itertools
import json
import shutil
import subprocess
from ctypes.util import find_library
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from operations.security import apparmor, seccomp
from operations.security.seccomp import KINDS, Architecture, Kind
from toolkit.settings import Settings

FORBIDDEN = """
acct add_key adjtimex bpf chroot clock_adjtime clock_settime create_module delete_module
fanotify_init finit_module fsconfig fsmount fsopen fspick get_kernel_syms init_module
io_uring_enter io_uring_register io_uring_setup ioperm iopl kcmp kexec_file_load kexec_load
keyctl lookup_dcookie mbind migrate_pages modify_ldt mount mount_setattr move_mount move_pages
name_to_handle_at nfsservctl open_by_handle_at open_tree perf_event_open pidfd_getfd pivot_root
process_vm_readv process_vm_writev ptrace query_module quotactl quotactl_fd reboot request_key
set_mempolicy setns setdomainname sethostname settimeofday swapoff swapon sysfs syslog umount
umount2 unshare uselib userfaultfd ustat vhangup vm86 vmsplice
"""
AMD64_ONLY = {"open", "stat", "fork", "vfork", "poll", "select", "arch_prctl", "pipe", "readlink"}
CLONE_NEWUSER, CLONE_NEWNS, SIGCHLD = 0x10000000, 0x00020000, 17
TIOCSTI, TIOCGWINSZ = 0x5412, 0x5413
UNIX, INET, INET6, NETLINK, PACKET, ALG, VSOCK = 1, 2, 10, 16, 17, 38, 40
STREAM, DGRAM, RAW, SEQPACKET, DCCP, CLOEXEC, NONBLOCK = 1, 2, 3, 5, 6, 0o2000000, 0o4000
TCP, UDP, SCTP, ICMP, L2TP, UDPLITE, MPTCP = 6, 17, 132, 1, 115, 136, 262
ANY_HIGH = 1 << 32
SOCKETS = {
    *((family, STREAM, protocol) for family in (INET, INET6) for protocol in (0, TCP)),
    *((family, DGRAM, protocol) for family in (INET, INET6) for protocol in (0, UDP)),
    *((NETLINK, kind, 0) for kind in (RAW, DGRAM)),
}


def answer(kind: Kind, call: str, *arguments: int, architecture: Architecture = "amd64") -> str:
    """What a profile answers to a call, as libseccomp reads its rules."""
    for rule in rules(kind, call):
        here = architecture in rule.get("includes", {}).get("arches", [architecture])
        conditions = rule.get("args") or []
        if here and all(matches(one, arguments) for one in conditions):
            return "allowed" if rule["action"] == "SCMP_ACT_ALLOW" else f"errno {rule['errnoRet']}"
    return "errno 1"


@cache
def rules(kind: Kind, call: str) -> list[dict[str, Any]]:
    return [rule for rule in seccomp.profile(kind)["syscalls"] if call in rule["names"]]


def matches(condition: dict[str, Any], arguments: tuple[int, ...]) -> bool:
    assert condition["op"] == "SCMP_CMP_MASKED_EQ"
    given = arguments[condition["index"]]
    return (given & condition["value"]) == condition["valueTwo"]


@pytest.mark.parametrize(
    ("architecture", "numbers"), [("amd64", (196, 199, 197)), ("arm64", (170, 173, 171))]
)
def test_the_documentation_says_how_many_calls_each_profile_allows(
    architecture: Architecture, numbers: tuple[int, ...]
) -> None:
    found = tuple(len(seccomp.allowed(kind, architecture)) for kind in KINDS)
    assert found == numbers
    text = (Path(__file__).parents[2] / "docs" / "sandbox.md").read_text()
    assert f"{found[0]}, {found[1]} and {found[2]} on {architecture}" in " ".join(text.split())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("architecture", ["amd64", "arm64"])
def test_no_profile_has_a_call_that_reaches_out_of_a_container(
    kind: Kind, architecture: Architecture
) -> None:
    assert not set(seccomp.allowed(kind, architecture)) & set(FORBIDDEN.split())


@pytest.mark.parametrize("kind", KINDS)
def test_a_call_of_one_architecture_is_not_asked_of_the_other(kind: Kind) -> None:
    assert set(seccomp.allowed(kind, "amd64")) >= AMD64_ONLY
    assert not set(seccomp.allowed(kind, "arm64")) & AMD64_ONLY


@pytest.mark.parametrize("kind", ["browser", "gateway"])
def test_what_tools_may_do_they_may_beside_a_browser_and_in_the_gateway(kind: Kind) -> None:
    assert set(seccomp.allowed(kind, "amd64")) > set(seccomp.allowed("tools", "amd64"))


@pytest.mark.skipif(not find_library("seccomp"), reason="needs libseccomp")
@pytest.mark.parametrize(("architecture", "token"), [("amd64", 0xC000003E), ("arm64", 0xC00000B7)])
def test_every_call_exists(architecture: Architecture, token: int) -> None:
    resolve = ctypes.CDLL(find_library("seccomp")).seccomp_syscall_resolve_name_arch
    resolve.argtypes = [ctypes.c_uint32, ctypes.c_char_p]
    for kind in KINDS:
        for call in seccomp.allowed(kind, architecture):
            assert resolve(token, call.encode()) >= 0, call


@pytest.mark.parametrize("kind", KINDS)
def test_a_call_stands_in_one_entry_of_a_profile(kind: Kind) -> None:
    calls = [call for one in seccomp.entries() if kind in one.profiles for call in one.calls]
    assert sorted(calls) == sorted(set(calls))


@pytest.mark.parametrize(
    ("call", "arguments", "expected"),
    [
        ("read", (), "allowed"),
        ("mount", (), "errno 1"),
        ("clone3", (), "errno 38"),
        ("clone", (SIGCHLD,), "allowed"),
        ("clone", (SIGCHLD | CLONE_NEWUSER,), "errno 1"),
        ("clone", (SIGCHLD | CLONE_NEWNS,), "errno 1"),
        ("ioctl", (0, TIOCGWINSZ), "allowed"),
        ("ioctl", (0, TIOCSTI), "errno 1"),
        ("ioctl", (0, TIOCSTI | 1 << 32), "errno 1"),
        ("socket", (INET, STREAM | CLOEXEC, 0), "allowed"),
        ("socket", (UNIX, STREAM, 0), "allowed"),
        ("socket", (INET, RAW, 1), "errno 1"),
        ("socket", (NETLINK, RAW, 0), "allowed"),
        ("socket", (NETLINK, RAW, 12), "errno 1"),
        ("socket", (PACKET, RAW, 0), "errno 1"),
        ("socket", (ALG, STREAM, 0), "errno 1"),
        ("socket", (VSOCK, STREAM, 0), "errno 1"),
        ("socket", (INET, STREAM, MPTCP), "errno 1"),
        ("socket", (INET6, STREAM | CLOEXEC, SCTP), "errno 1"),
        ("mknodat", (-100, 0, 0o010644), "allowed"),
        ("mknodat", (-100, 0, 0o060644), "errno 1"),
        ("personality", (0x0040000,), "errno 1"),
    ],
)
def test_arguments_decide_where_a_call_can_do_good_and_harm(
    call: str, arguments: tuple[int, ...], expected: str
) -> None:
    assert answer("tools", call, *arguments) == expected


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("flags", [0, CLOEXEC | NONBLOCK, ANY_HIGH])
def test_sockets_are_tcp_udp_unix_and_the_list_of_addresses(kind: Kind, flags: int) -> None:
    protocols = (0, ICMP, TCP, UDP, 9, 15, 33, L2TP, SCTP, UDPLITE, 255, MPTCP)
    every = itertools.product(range(46), range(16), protocols)
    found = {
        one
        for one in every
        if answer(kind, "socket", one[0], one[1] | flags, one[2] | (flags & ANY_HIGH)) == "allowed"
    }
    unix = {(UNIX, kind, protocol) for kind in (STREAM, DGRAM, SEQPACKET) for protocol in protocols}
    assert found == SOCKETS | unix  # whose protocol the kernel itself wants to be 0 or 1
    pairs = itertools.product(range(46), range(16))
    assert {
        one for one in pairs if answer(kind, "socketpair", one[0], one[1] | flags, 0) == "allowed"
    } == {one[:2] for one in unix}


@pytest.mark.parametrize("kind", KINDS)
def test_everything_else_is_refused_on_amd64_and_arm64(kind: Kind) -> None:
    profile = json.loads(seccomp.render(kind))
    assert (profile["defaultAction"], profile["defaultErrnoRet"]) == ("SCMP_ACT_ERRNO", 1)
    assert profile["archMap"] == [
        {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": []},
        {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": []},
    ]
    actions = {rule["action"] for rule in profile["syscalls"]}
    assert actions == {"SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO"}


def settings(**sandbox: Any) -> Settings:
    return Settings.model_validate({"name": "claw", "sandbox": {"enabled": True, **sandbox}})


def profile_text(settings: Settings, kind: Kind) -> str:
    text = apparmor.render(settings)
    start = text.index(f'profile "{apparmor.name(settings.name, kind)}"')
    lines = text[start : text.index("\n}", start)].splitlines()
    return "\n".join(line for line in lines if not line.startswith("  #"))


PERMISSIVE = {
    "container": {
        "read_only_root": False,
        "user": "0:0",
        "capabilities_dropped": ["NET_RAW"],
        "workdir": "/a workspace",
        "binds": ["/srv/data:/data:rw", "/srv/books:/books:ro", "/srv/x:/x[1]{*?^@}:rw"],
    }
}


@pytest.mark.skipif(not shutil.which("apparmor_parser"), reason="needs Debian's apparmor")
@pytest.mark.parametrize("sandbox", [{}, PERMISSIVE, {"enabled": False}])
def test_apparmor_s_own_parser_takes_the_profiles(sandbox: dict[str, Any]) -> None:
    text = apparmor.render(settings(**sandbox))
    parser = ["apparmor_parser", "--skip-kernel-load", "--skip-cache"]
    done = subprocess.run(parser, input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    names = subprocess.run(
        ["apparmor_parser", "--names"], input=text, capture_output=True, text=True, check=True
    )
    assert set(names.stdout.split()) == {"claw-tools", "claw-browser", "claw-gateway"}


@pytest.mark.parametrize("kind", KINDS)
def test_no_profile_allows_what_reaches_out_of_a_container(kind: Kind) -> None:
    lines = [line.strip() for line in profile_text(settings(), kind).splitlines()[1:]]
    rules = [
        line for line in lines if line and not line.startswith(("/", '"', "owner /", "deny /"))
    ]
    assert sorted(rules) == sorted(
        [
            *("network inet stream,", "network inet dgram,", "network unix,", "unix,"),
            *("network inet6 stream,", "network inet6 dgram,", "network netlink raw,"),
            f'signal (send, receive) peer="claw-{kind}",',
            *(f"signal (receive) peer={peer}," for peer in ("unconfined", "runc", "crun")),
            f'ptrace (read, readby) peer="claw-{kind}",',
        ]
    )


def test_only_the_gateway_reaches_the_engine_and_only_with_sandboxes() -> None:
    assert "docker.sock rw," in profile_text(settings(), "gateway")
    assert "deny /{,var/}run/docker.sock" in profile_text(settings(), "tools")
    assert "docker.sock rw," not in profile_text(settings(enabled=False), "gateway")


def test_what_the_settings_mount_is_writable_and_nothing_more() -> None:
    closed, permissive = settings(), settings(**PERMISSIVE)
    assert '"/workspace{,/,/**}" mrwlkix,' in profile_text(closed, "tools")
    assert '"/usr{,/,/**}" mrwlkix,' not in profile_text(closed, "tools")
    rules = profile_text(permissive, "tools")
    assert '"/a workspace{,/,/**}" mrwlkix,' in rules and '"/data{,/,/**}" mrwlkix,' in rules
    assert '"/x\\[1\\]\\{\\*\\?\\^@\\}{,/,/**}" mrwlkix,' in rules
    assert '"/books{,/,/**}" mrix,' in rules
    assert '"/usr{,/,/**}" mrwlkix,' in rules and "capability setuid," in rules


def test_what_one_agent_needs_is_in_the_profile_of_all() -> None:
    one = settings(agents={"builder": {"container": {"read_only_root": False}}})
    assert '"/usr{,/,/**}" mrwlkix,' in profile_text(one, "tools")
