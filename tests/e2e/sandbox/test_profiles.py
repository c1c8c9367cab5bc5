"""The kernel profiles on a real engine: what is refused in a container, and what still works."""

from __future__ import annotations

import json
import platform
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab import hosts as lab
from operations.base import templates
from operations.base.quoting import Script
from operations.security import seccomp
from tests.e2e.harness import Deployment
from tests.e2e.sandbox.images_job import AT_HOME, CLOSED, SandboxJob

pytestmark = [pytest.mark.engine, pytest.mark.whole]
BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
ATTEMPTS = """
import ctypes, errno, fcntl, json, os, pty, socket, threading

libc = ctypes.CDLL(None, use_errno=True)

def refused(attempt):
    try:
        attempt()
    except OSError as error:
        return errno.errorcode[error.errno]
    return "allowed"

def call(function, *arguments):
    def attempt():
        if function(*arguments) == -1:
            raise OSError(ctypes.get_errno(), "")
    return attempt

controller, terminal = pty.openpty()
thread = threading.Thread(target=lambda: None)
thread.start()
thread.join()
print(json.dumps({
    "user namespace": refused(call(libc.unshare, 0x10000000)),
    "mount": refused(call(libc.mount, b"none", b"/tmp", b"tmpfs", 0, None)),
    "trace": refused(call(libc.ptrace, 0, 0, 0, 0)),
    "type into a terminal": refused(lambda: fcntl.ioctl(terminal, 0x5412, b"x")),
    "raw socket": refused(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)),
    "packet socket": refused(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW)),
    "kernel cryptography": refused(lambda: socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET)),
    "virtual machine socket": refused(lambda: socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)),
    "MPTCP": refused(lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)),
    "MPTCP over IPv6": refused(lambda: socket.socket(socket.AF_INET6, socket.SOCK_STREAM, 262)),
    "SCTP": refused(lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM, 132)),
    "SCTP, many to one": refused(lambda: socket.socket(socket.AF_INET, socket.SOCK_SEQPACKET, 132)),
    "UDP-Lite": refused(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM, 136)),
    "ping": refused(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM, 1)),
    "audit": refused(lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 9)),
    "TCP over IPv6": refused(lambda: socket.socket(socket.AF_INET6, socket.SOCK_STREAM, 6)),
    "UDP": refused(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM, 17)),
    "UDP over IPv6": refused(lambda: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)),
    "unix socket": refused(lambda: socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)),
    "pair of sockets": refused(lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)),
    "device": refused(lambda: os.mknod("/tmp/device", 0o060600, os.makedev(8, 0))),
    "size of a terminal": refused(lambda: os.get_terminal_size(terminal)),
    "named pipe": refused(lambda: os.mkfifo("/tmp/pipe")),
    "socket": refused(lambda: socket.create_server(("127.0.0.1", 0)).close()),
    "addresses": refused(socket.if_nameindex),
}))
"""
OUT_OF_REACH = {
    "user namespace", "mount", "trace", "type into a terminal", "raw socket", "packet socket",
    "kernel cryptography", "device", "virtual machine socket", "MPTCP", "MPTCP over IPv6", "SCTP",
    "SCTP, many to one", "UDP-Lite", "ping", "audit",
}  # fmt: skip
# Another architecture's way to a call: int 0x80 with socketcall's number, and x32's socket.
OTHER_ARCHITECTURES = r"""
import ctypes, mmap, os

def i386():
    page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(b"\xb8\x66\0\0\0\xcd\x80\xc3")
    ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()

def x32():
    ctypes.CDLL(None).syscall(0x40000000 | 41, 2, 1, 6)

for attempt in (i386, x32):
    child = os.fork()
    if not child:
        attempt()
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
TOOLCHAINS = {
    "git": "git init -q a && cd a && git config user.email a@b && git config user.name n && "
    "cp /etc/passwd . && git add . && git commit -qm m && git gc -q && git clone -q . ../b",
    "ripgrep": "rg --files /usr/lib/python3 | head -n 3 && rg -q root /etc/passwd",
    "node": 'node -e \'new (require("worker_threads").Worker)("1", {eval: true});'
    'require("child_process").execSync("ls");'
    'require("http").createServer((q, r) => r.end("x")).listen(0, function () {'
    'fetch("http://127.0.0.1:" + this.address().port).then(() => process.exit()) })\'',
    "npm": "npm init -y >/dev/null && npm install --no-audit --no-fund is-odd && "
    "node -e 'require(\"is-odd\")(3)'",
    "pnpm": "npm init -y >/dev/null && pnpm install is-odd && node -e 'require(\"is-odd\")(3)'",
    "bun": "bun init -y >/dev/null 2>&1; bun -e 'const s = Bun.serve({port: 0, "
    'fetch: () => new Response("x")}); await (await fetch(s.url)).text(); s.stop()\'',
    "go": 'go mod init a && printf \'package main\\nimport "net/http/httptest"\\nfunc main() '
    "{ httptest.NewServer(nil).Close() }\\n' >main.go && "
    "printf 'package main\\nimport \"testing\"\\nfunc TestA(t *testing.T) {}\\n' >main_test.go && "
    "go build -o m . && ./m && go test ./...",
    "cargo": "cargo init -q --vcs none --name a p && cd p && cargo test -q --offline && "
    "cargo run -q --offline --release",
    "python": "python3 -m venv v && v/bin/pip install -q requests && v/bin/python -c "
    '"import requests, multiprocessing as m; m.Pool(2).map(abs, [1])"',
    "gcc": "printf 'int main(void) { return 0; }\\n' >c.c && make c CFLAGS=-O2 && ./c",
    "shell": "mkfifo f && (cat f >o & echo x >f; wait) && cp -a /etc/passwd p && "
    "tar -czf t.tgz p && "
    "timeout 5 sleep 0.1 && script -qc true /dev/null && nice sha256sum p && chmod 600 p",
}
APT = (
    "apt-get update -qq && DEBIAN_FRONTEND=noninteractive "
    "apt-get install -y -qq --no-install-recommends file rsync >/dev/null && file /bin/sh"
)


def run(image: str, *command: str, options: dict[str, Any]) -> str:
    return lab.output(image, list(command), **options)


def under(profile: str) -> list[str]:
    return ["no-new-privileges", f"seccomp={profile}"]


def closed(sandboxed: Deployment, kind: str) -> dict[str, Any]:
    profile = Path(f"/opt/{sandboxed.name}/security/seccomp-{kind}.json").read_text()
    return {**CLOSED, "security_opt": under(profile)}


def minimal(sandboxed: Deployment) -> str:
    return f"{sandboxed.name}-sandbox:bookworm-slim"


def test_less_reaches_the_kernel_than_under_docker_s_default(sandboxed: Deployment) -> None:
    (there,) = sandboxed.claw("profiles", "--json").json["hosts"].values()
    calls: dict[str, set[str]] = {
        kind: {name for name, answer in one["calls"].items() if answer == "open"}
        for kind, one in there["containers"].items()
    }
    ordinary = calls.pop("Docker's default")
    for kind, ours in calls.items():
        assert len(ours) < 200 <= len(ordinary)
        assert ours <= ordinary, f"{kind} has more than Docker's default"
        assert not ours & {"ptrace", "unshare", "io_uring_setup", "keyctl", "userfaultfd"}
    tools = there["containers"]["tools"]
    assert (tools["capabilities"], tools["interfaces"], tools["user"]) == (
        0,
        [],
        int(sandboxed.owner.partition(":")[0]),
    )
    assert set(tools["writable"]) <= {"/tmp", "/var/tmp", "/run"}
    said = sandboxed.claw("profiles").stdout
    assert "fewer than Docker's default: " in said and "tools: 0 more" in said


@pytest.mark.parametrize("kind", seccomp.KINDS)
def test_what_reaches_out_of_a_container_is_refused_and_what_programs_need_is_not(
    sandboxed: Deployment, kind: str
) -> None:
    said = run(minimal(sandboxed), "python3", "-c", ATTEMPTS, options=closed(sandboxed, kind))
    found: dict[str, Any] = json.loads(said)
    assert {what for what, answer in found.items() if answer == "EPERM"} == OUT_OF_REACH
    assert {answer for what, answer in found.items() if what not in OUT_OF_REACH} == {"allowed"}


@pytest.mark.skipif(platform.machine() != "x86_64", reason="only amd64 has other calls beside its")
def test_calls_of_another_architecture_end_the_program(sandboxed: Deployment) -> None:
    options = closed(sandboxed, "gateway")
    said = run(minimal(sandboxed), "python3", "-c", OTHER_ARCHITECTURES, options=options)
    assert said.split() == [str(-signal.SIGSYS)] * 2


def test_the_gateway_runs_under_its_own_profile(sandboxed: Deployment) -> None:
    options = sandboxed.container()["HostConfig"]["SecurityOpt"]
    (inlined,) = (one.partition("=")[2] for one in options if one.startswith("seccomp"))
    assert json.loads(inlined) == seccomp.profile("gateway")


def test_a_profile_that_the_engine_cannot_use_replaces_none(engine: object, tmp_path: Path) -> None:
    old = tmp_path / "seccomp-tools.json"
    old.write_text("old\n")
    for broken in ('{"defaultAction": "SCMP_ACT_NONE"}\n', '{"defaultAction": "SCMP_ACT_ERRNO"}\n'):
        script = templates.render(
            "security/seccomp.sh.j2",
            docker=Script(f"export DOCKER_HOST=unix://{lab.SOCKET}"),
            name="clawtest-profiles",
            directory=str(tmp_path),
            profiles={"gateway": seccomp.render("gateway"), "tools": broken},
        )
        done = subprocess.run(
            ["sh", "-s"], input=script, capture_output=True, text=True, check=False
        )
        assert done.returncode == 1
        assert "the engine cannot use the system call profile tools" in done.stderr
        assert [path.name for path in tmp_path.iterdir()] == [old.name]
        assert old.read_text() == "old\n"


@pytest.fixture(scope="module")
def common(engine: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxJob]:
    job = SandboxJob(tmp_path_factory.mktemp("profiles"), "clawtest-profiles")
    job.up(sandbox={"images": {"common": {"enabled": True}}})
    yield job
    job.remove()


@pytest.mark.long
@pytest.mark.parametrize("tool", TOOLCHAINS)
def test_toolchains_work(common: SandboxJob, tool: str) -> None:
    options = {**CLOSED, **AT_HOME, **under_tools()}
    options["environment"] = {**AT_HOME["environment"], **options["environment"]}
    run(common.tagged("common"), "sh", "-elc", TOOLCHAINS[tool], options=options)


@pytest.mark.long
def test_apt_works_for_root_in_a_permissive_sandbox(common: SandboxJob) -> None:
    sources = Path("/etc/apt/sources.list.d/debian.sources")
    options = {"init": True, "user": "0:0", **under_tools()}
    options["volumes"] += [f"{sources}:{sources}:ro"] if sources.exists() else []
    run(common.tagged(), "sh", "-elc", APT, options=options)


def under_tools() -> dict[str, Any]:
    """The options for the profile of tools (the others allow more), and for the machine's CAs."""
    names = ("SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS", "PIP_CERT")
    return {
        "security_opt": under(seccomp.render("tools")),
        "volumes": [f"{BUNDLE}:{BUNDLE}:ro"],
        "environment": dict.fromkeys(names, str(BUNDLE)),
    }
