"""The archive of a lab host that is an Ubuntu: what is below /srv/ubuntu, and for Debian's own
packages the mirror that has them.
"""

from __future__ import annotations

import http.server
import os
from pathlib import Path

ADDRESS = ("127.0.0.1", 8055)


def mirror() -> str:
    """The address of the host's own Debian release; /etc/os-release says Ubuntu."""
    (release,) = Path("/usr/local/lib/lab/debian-release").read_text().split()
    for line in Path("/usr/local/lib/lab/debian.list").read_text().splitlines():
        *_, address, suite, _ = line.split()
        if suite == release:
            return address.rstrip("/")
    raise SystemExit(f"no source of {release}")


class Archive(http.server.SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        _, pool, path = self.path.partition("/pool/")
        if pool and not Path(self.translate_path(self.path)).exists():
            self.send_response(302)
            self.send_header("Location", f"{mirror()}/pool/{path}")
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            super().do_GET()

    def log_message(self, format: str, *args: object) -> None:
        pass


if __name__ == "__main__":
    os.chdir("/srv")
    http.server.ThreadingHTTPServer(ADDRESS, Archive).serve_forever()
