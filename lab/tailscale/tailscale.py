#!/usr/bin/python3
"""A stand-in of Tailscale's `tailscale` and `tailscaled`, as far as the toolkit speaks to them: the
answers are of the forms that its documentation and its ipn packages have. Called `tailscaled` it is
the daemon, which answers the command line on a socket, has `tailscale0`, and speaks TLS there.

What a coordination server would know stands in /etc/tailnet.json: `suffix`, `keys`, `https`,
`taken` (names of other machines), `address`.
"""

from __future__ import annotations

import json
import re
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

SOCKET = Path("/run/tailscale/tailscaled.sock")
STATE = Path("/var/lib/tailscale/tailscaled.state")
CERTIFICATE = STATE.with_name("certificate.pem")
OFF = """Serve is not enabled on your tailnet.
To enable, visit:

         https://login.tailscale.com/f/serve?node=n1

"""
NO_CERTIFICATES = "500 Internal Server Error: your account does not support getting TLS certs\n"


def tailnet() -> Any:
    return json.loads(Path("/etc/tailnet.json").read_text())


class Daemon:
    def __init__(self) -> None:
        self.listener: socket.socket | None = None
        try:
            self.kept = json.loads(STATE.read_text())
        except (OSError, ValueError):
            self.kept = {"state": "NeedsLogin", "name": "", "serve": {}}
        self.applied()

    def applied(self) -> None:
        STATE.parent.mkdir(parents=True, exist_ok=True)
        STATE.write_text(json.dumps(self.kept) if self.kept["name"] else "")
        subprocess.run(["ip", "link", "delete", "tailscale0"], capture_output=True)
        if self.listener:
            self.listener.shutdown(socket.SHUT_RDWR)
            self.listener.close()
            self.listener = None
        if self.kept["state"] != "Running":
            return
        address = tailnet()["address"]
        # The same one each time: who has asked for it keeps it for most of a minute.
        link = f"02:00:{socket.inet_aton(address).hex(':')}"
        for words in (
            f"link add tailscale0 link eth0 address {link} type macvlan mode bridge",
            f"address add {address}/32 dev tailscale0",
            "link set tailscale0 up",
        ):
            subprocess.run(["ip", *words.split()], check=True)
        # What is for that address comes in there, and nowhere else.
        for name, value in (("eth0/arp_ignore", "1"), ("tailscale0/rp_filter", "2")):
            Path("/proc/sys/net/ipv4/conf", name).write_text(value)
        if self.kept["serve"]:
            self.certified()
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(CERTIFICATE)
            context.set_alpn_protocols(["http/1.1"])
            self.listener = socket.create_server((address, 443))
            started(self.serve, self.listener, context)

    def certified(self) -> None:
        name = self.kept["name"]
        made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "90"]
        made += ["-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"]
        if not CERTIFICATE.exists():
            new = CERTIFICATE.with_suffix(".new")
            made += ["-keyout", str(CERTIFICATE), "-out", str(new)]
            subprocess.run(made, check=True, stderr=subprocess.DEVNULL)
            CERTIFICATE.write_text(CERTIFICATE.read_text() + new.read_text())

    def serve(self, listener: socket.socket, context: ssl.SSLContext) -> None:
        while True:
            try:
                client, peer = listener.accept()
            except OSError:
                return
            started(self.proxied, client, peer[0], context)

    def proxied(self, plain: socket.socket, peer: str, context: ssl.SSLContext) -> None:
        """One request of a connection, and whatever follows its upgrade."""
        try:
            with context.wrap_socket(plain, server_side=True) as client:
                head = b""
                while b"\r\n\r\n" not in head:
                    head += client.recv(65536) or b"\r\n\r\n"
                head, _, body = head.partition(b"\r\n\r\n")
                lines = head.decode("latin-1").split("\r\n")
                drop = r"(?i)(x-forwarded-|tailscale-|forwarded:)"
                lines = [line for line in lines if not re.match(drop, line)]
                upgrade = any(re.match("(?i)upgrade:", line) for line in lines)
                if not upgrade:
                    lines = [line for line in lines if not re.match("(?i)connection:", line)]
                    lines.append("Connection: close")
                lines += [f"X-Forwarded-For: {peer}", f"X-Forwarded-Host: {self.kept['name']}"]
                lines += ["X-Forwarded-Proto: https", "Tailscale-User-Login: someone@example.com"]
                port = int(self.kept["serve"]["/"].rpartition(":")[2])
                with socket.create_connection(("127.0.0.1", port)) as gateway:
                    gateway.sendall("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)
                    started(copied, client, gateway)
                    copied(gateway, client)
        except OSError:
            pass

    # The command line

    def asked(self, argv: list[str]) -> tuple[int, str, str]:
        options = dict(word.lstrip("-").partition("=")[::2] for word in argv if word[0] == "-")
        words = [word for word in argv if word[0] != "-"]
        if words[:2] == ["serve", "status"]:
            return 0, json.dumps(self.serving(), indent=2), ""
        verb = getattr(self, f"on_{words[0]}", None)
        if verb is None:
            return 1, "", f"tailscale: unknown subcommand: {words[0]}\n"
        answer: tuple[int, str, str] = verb(words[1:], options)
        return answer

    def serving(self) -> dict[str, Any]:
        if not self.kept["serve"]:
            return {}
        handlers = {path: {"Proxy": target} for path, target in self.kept["serve"].items()}
        web = {f"{self.kept['name']}:443": {"Handlers": handlers}}
        return {"TCP": {"443": {"HTTPS": True}}, "Web": web}

    def on_up(self, words: list[str], options: dict[str, str]) -> tuple[int, str, str]:
        there = tailnet()
        if not self.kept["name"]:
            key = options.get("auth-key", "")
            if key.startswith("file:"):
                key = Path(key[5:]).read_text().strip()
            if not key:
                return 1, "", "timeout waiting for Tailscale service to enter a Running state\n"
            if key not in there["keys"]:
                return 1, "", "backend error: invalid key: API key does not exist\n"
            host = options.get("hostname") or socket.gethostname()
            while host in there["taken"]:
                host = f"{host}-1"
            self.kept["name"] = f"{host}.{there['suffix']}"
        self.kept["state"] = "Running"
        self.applied()
        return 0, "", ""

    def on_down(self, words: list[str], options: dict[str, str]) -> tuple[int, str, str]:
        self.kept["state"] = "Stopped"
        self.applied()
        return 0, "", ""

    def on_logout(self, words: list[str], options: dict[str, str]) -> tuple[int, str, str]:
        self.kept = {"state": "NeedsLogin", "name": "", "serve": {}}
        self.applied()
        return 0, "", ""

    def on_status(self, words: list[str], options: dict[str, str]) -> tuple[int, str, str]:
        there, name = tailnet(), self.kept["name"]
        running = self.kept["state"] == "Running"
        said = {
            "Version": "1.90.0-stand-in",
            "BackendState": self.kept["state"],
            "HaveNodeKey": bool(name),
            "TailscaleIPs": [there["address"]] if running else None,
            "Self": {"HostName": name.partition(".")[0], "DNSName": f"{name}." if name else ""},
            "MagicDNSSuffix": there["suffix"] if name else "",
            "CertDomains": [name] if name and there["https"] else None,
            "Peer": None,
        }
        return 0, json.dumps(said, indent=2), ""

    def on_ip(self, words: list[str], options: dict[str, str]) -> tuple[int, str, str]:
        if self.kept["state"] != "Running":
            return 1, "", "no current Tailscale IPs; state: " + self.kept["state"] + "\n"
        return 0, tailnet()["address"] + "\n", ""

    def on_cert(self, words: list[str], options: dict[str, str]) -> tuple[int, str, str]:
        if not tailnet()["https"]:
            return 1, "", NO_CERTIFICATES
        if words != [self.kept["name"]]:
            return 1, "", f"500 Internal Server Error: invalid domain {words}\n"
        self.certified()
        return 0, CERTIFICATE.read_text(), ""

    def on_serve(self, words: list[str], options: dict[str, str]) -> tuple[int, str, str]:
        if not tailnet()["https"]:
            return 0, OFF, ""
        path = options.get("set-path") or "/"
        if words == ["reset"]:
            self.kept["serve"] = {}
        elif words == ["off"]:
            if path not in self.kept["serve"]:
                return 1, "", "error: failed to remove web serve: handler does not exist\n"
            del self.kept["serve"][path]
        elif "bg" in options and options.get("https") == "443":
            self.kept["serve"][path] = words[0]
        else:
            return 1, "", "the stand-in knows no such serve\n"
        self.applied()
        return 0, "", ""


def started(function: Callable[..., None], *arguments: object) -> None:
    threading.Thread(target=function, args=arguments, daemon=True).start()


def copied(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def daemon() -> None:
    SOCKET.parent.mkdir(exist_ok=True)
    SOCKET.unlink(missing_ok=True)
    one = Daemon()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(SOCKET))
        server.listen()
        while True:
            client, _ = server.accept()
            with client, client.makefile("rw") as file:
                try:
                    answer = one.asked(json.loads(file.readline()))
                except Exception as error:
                    answer = 1, "", f"{type(error).__name__}: {error}\n"
                file.write(json.dumps(answer) + "\n")


def client() -> None:
    with socket.socket(socket.AF_UNIX) as server:
        try:
            server.connect(str(SOCKET))
        except OSError:
            sys.exit("failed to connect to local tailscaled; it doesn't appear to be running")
        with server.makefile("rw") as file:
            file.write(json.dumps(sys.argv[1:]) + "\n")
            file.flush()
            code, out, error = json.loads(file.readline())
    sys.stdout.write(out)
    sys.stderr.write(error)
    sys.exit(code)


if __name__ == "__main__":
    daemon() if sys.argv[0].endswith("tailscaled") else client()
