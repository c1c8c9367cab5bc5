"""A deploy of nothing but the sandbox images, on this machine."""

from __future__ import annotations

from typing import Any

from lab import hosts as lab
from tests.e2e.images_job import Job, identity

DEPLOY = """
from operations.base import files, preflight
from operations.security import stage as security
from operations.images import pipeline
from operations.images.sandbox import stage as images

settings = preflight.run()
files.directories(name="Directories", paths=[f"{settings.project_directory}/images"])
security.install(settings)
pipeline.base_made(name="Make the Debian base image", settings=settings)
images.build(settings)
images.prune(settings)
"""
CLOSED: dict[str, Any] = {
    "init": True,
    "read_only": True,
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges"],
    "user": "1000:1000",
    "pids_limit": 256,
    "mem_limit": "1g",
    "memswap_limit": "1g",
    "tmpfs": {"/tmp": "rw,exec,nosuid,nodev,size=256m", "/run": "", "/var/tmp": ""},
}
"""What the SDK's `containers.run` is told of a closed container."""
AT_HOME: dict[str, Any] = {
    "tmpfs": {**CLOSED["tmpfs"], "/workspace": "exec,uid=1000,gid=1000"},
    "environment": {"HOME": "/workspace"},
    "working_dir": "/workspace",
}
ALL: dict[str, Any] = {
    "images": {"common": {"enabled": True}, "browser": {"apt_packages": ["file"]}},
    "browser": {"enabled": True},
}


class SandboxJob(Job):
    """The sandbox images of one deployment; the gateway is an image that nothing asks for."""

    deploy = DEPLOY

    def run(self, *args: str, **settings: Any) -> Any:
        settings.setdefault("base_images", "bootstrap")
        settings["sandbox"] = {"enabled": True, **settings.get("sandbox", {})}
        settings.setdefault("gateway", {}).setdefault("uid", 1000)
        return super().run(*args, **settings)

    def tagged(self, kind: str = "") -> str:
        return f"{self.name}-sandbox{kind and '-'}{kind}:bookworm-slim"

    def of(self, kind: str = "") -> str:
        """Return the id of a sandbox image, '' if there is none."""
        return identity(self.tagged(kind))

    def label(self, name: str, kind: str = "") -> str:
        return lab.client().images.get(self.tagged(kind)).labels[name]
