"""Inside the browser's container: the relay lets in who may, and noVNC wants its password."""

import base64
import http.client
import json
import os
import socket
import struct
import sys
import time

RELAY, NOVNC = 9222, 6080
TOKEN = os.environ["OPENCLAW_BROWSER_CDP_AUTH_TOKEN"]
BASIC = "Basic " + base64.b64encode(f"openclaw:{TOKEN}".encode()).decode()
PAGE = "data:text/html,<title>probed</title>"


def ask(path, authorization=None, host=None, source="127.0.0.1", method="GET"):
    connection = http.client.HTTPConnection("127.0.0.1", RELAY, 20, (source, 0))
    headers = {"Host": host or f"127.0.0.1:{RELAY}"}
    if authorization:
        headers["Authorization"] = authorization
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    return answer.status, answer.headers, answer.read()


class WebSocket:
    """As much of RFC 6455 as a conversation in short messages needs."""

    def __init__(self, port, path, *headers):
        self.socket = socket.create_connection(("127.0.0.1", port), 20)
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [
            f"GET {path} HTTP/1.1",
            f"Host: 127.0.0.1:{port}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {key}",
            *headers,
        ]
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode())
        self.file = self.socket.makefile("rb")
        self.status = int(self.file.readline().split()[1])
        while self.file.readline().strip():
            pass
        self.read = b""

    def send(self, data, opcode):
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(data))
        length = struct.pack("!BH", 0x80 | 126, len(data))
        self.socket.sendall(bytes([0x80 | opcode]) + length + mask + masked)

    def message(self):
        length = self.file.read(2)[1]
        if length == 126:
            (length,) = struct.unpack("!H", self.file.read(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", self.file.read(8))
        return self.file.read(length)

    def bytes(self, count):
        while len(self.read) < count:
            self.read += self.message()
        found, self.read = self.read[:count], self.read[count:]
        return found


def relay():
    until = time.monotonic() + 90
    while True:
        try:
            status, headers, _ = ask("/json/version")
            break
        except OSError as error:
            if time.monotonic() > until:
                return f"the relay does not listen: {error}"
            time.sleep(0.2)
    if status != 401 or "WWW-Authenticate" not in headers:
        return f"the relay answers {status} without a token, not 401 with WWW-Authenticate"
    wrong = "Basic " + base64.b64encode(b"openclaw:wrong").decode()
    for given in (wrong, "Bearer wrong", f"Basic {TOKEN}"):
        if ask("/json/version", given)[0] != 401:
            return "the relay answers with a wrong token"
    for given, host in ((BASIC, None), (f"Bearer {TOKEN}", "browser.example:9222")):
        status, _, body = ask("/json/version", given, host)
        if status != 200 or "Browser" not in json.loads(body):
            return f"/json/version through the relay: {status} {body[:200]!r} (host {host})"
    try:
        ask("/json/version", BASIC, source="127.0.0.2")
        return "the relay answers outside of its source range"
    except (OSError, http.client.HTTPException):
        return None


def page():
    status, _, body = ask(f"/json/new?{PAGE}", BASIC, method="PUT")
    if status != 200:
        return f"no page can be opened: {status} {body[:200]!r}"
    path = "/devtools/" + json.loads(body)["webSocketDebuggerUrl"].partition("/devtools/")[2]
    if WebSocket(RELAY, path).status != 401:
        return "a WebSocket opens without the token"
    session = WebSocket(RELAY, path, f"Authorization: {BASIC}")
    if session.status != 101:
        return f"no WebSocket through the relay: {session.status}"
    until = time.monotonic() + 30
    title = None
    while title != "probed" and time.monotonic() < until:
        expression = {"expression": "document.title"}
        call = {"id": 1, "method": "Runtime.evaluate", "params": expression}
        session.send(json.dumps(call).encode(), 1)
        title = json.loads(session.message())["result"]["result"].get("value")
    return None if title == "probed" else f"the page's title is {title!r}, not 'probed'"


def novnc():
    session = WebSocket(NOVNC, "/websockify", "Sec-WebSocket-Protocol: binary")
    session.send(session.bytes(12), 2)
    types = session.bytes(session.bytes(1)[0])
    if types != b"\2":
        return f"noVNC offers the security types {list(types)}, not [2], a password"
    session.send(b"\2", 2)
    session.bytes(16)
    session.send(bytes(16), 2)
    if session.bytes(4) == bytes(4):
        return "noVNC accepts a wrong password"
    return None


def observed():
    return os.environ["OPENCLAW_BROWSER_HEADLESS"] != "1" and (
        os.environ["OPENCLAW_BROWSER_ENABLE_NOVNC"] == "1"
    )


for step in (relay, page, *([novnc] if observed() else [])):
    try:
        problem = step()
    except (OSError, http.client.HTTPException, ValueError, LookupError) as error:
        problem = f"{type(error).__name__}: {error}"
    if problem:
        sys.exit(f"{step.__name__}: {problem}")
