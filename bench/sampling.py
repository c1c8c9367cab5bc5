"""A look at something, again and again while something else runs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def sampled(look: Callable[[], None], seconds: float) -> Iterator[None]:
    """Call `look` every so many seconds while the body runs, and once at its end."""
    end = threading.Event()

    def watch() -> None:
        ended = False
        while not ended:
            ended = end.wait(seconds)
            look()

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()
