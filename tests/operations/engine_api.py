"""An engine's API on a socket, as far as it is asked there (https://docs.docker.com/reference/api/engine/)."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any


@contextmanager
def answering(socket: Path, answers: Mapping[str, Any]) -> Iterator[list[str]]:
    """Answer requests by their paths, others with 404, until the body ends; yield those that came.

    A function of `answers` is called with where to write instead.
    """
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            said = answers.get(self.path)
            if callable(said):
                said(self.wfile)
                return
            self.send_response(404 if said is None else 200)
            self.end_headers()
            self.wfile.write(json.dumps(said, separators=(",", ":")).encode())

        def address_string(self) -> str:
            return "socket"  # it has no address

        def log_message(self, *_: Any) -> None:
            pass

    class Server(socketserver.ThreadingUnixStreamServer):
        daemon_threads = True
        block_on_close = False

        def handle_error(self, *_: Any) -> None:
            pass  # who asked has heard enough

    with Server(str(socket), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield asked
        finally:
            server.shutdown()
