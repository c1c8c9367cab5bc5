"""What deploy files of tests make, and what they ask for it: which files there are."""

from __future__ import annotations

from operations.base import snapshot
from toolkit.settings import Settings


def fact(directory: str) -> type[tuple[str, ...]]:
    """Declare the fact of what is in a directory; `{name}` is the deployment's."""

    @snapshot.fact("job")
    class Job(tuple[str, ...]):
        @staticmethod
        def script(settings: Settings) -> str:
            return f"ls {directory.format(name=settings.name)}"

        @classmethod
        def parse(cls, lines: list[str]) -> Job:
            return cls(lines)

    return Job
