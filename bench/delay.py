"""A longer way to a host: a TCP proxy that holds back what passes it for a constant time.

Each direction has its own delay, and what is under way does not wait for what went before it, so
throughput stays as it is. A new connection takes one round trip before its first byte goes on, as
the TCP handshake would. Where the kernel has `tc netem` that does the same; many have not.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Coroutine, Sequence
from typing import Any

CHUNK = 1 << 16
Chunk = tuple[float, bytes]


class Delay:
    """Proxies on loopback, one for each of the given addresses; a context manager.

    `ports` are theirs, in the same order. `turns` counts how often a client went on after an
    answer had reached it: its round trips, and the window adjustments of a long answer.
    """

    def __init__(self, addresses: Sequence[tuple[str, int]], each_way: float) -> None:
        self.addresses, self.each_way = addresses, each_way
        self.ports: list[int] = []
        self.turns = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Delay:
        self._thread.start()
        self.ports = [self._do(self._listen(*address)) for address in self.addresses]
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _listen(self, address: str, port: int) -> int:
        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await self._connect(reader, writer, address, port)
            writer.close()

        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        return int(server.sockets[0].getsockname()[1])

    async def _end(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _connect(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, address: str, port: int
    ) -> None:
        opened = self._loop.time() + 2 * self.each_way
        await asyncio.sleep(self.each_way)
        there, back = await asyncio.open_connection(address, port)
        for one in (writer, back):
            raw = one.get_extra_info("socket")
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.turns += 1  # the TCP handshake
        answered = [False]
        try:
            await asyncio.gather(
                self._pass(reader, back, opened, answered, False),
                self._pass(there, writer, 0, answered, True),
            )
        finally:
            back.close()

    async def _pass(
        self,
        source: asyncio.StreamReader,
        target: asyncio.StreamWriter,
        opened: float,
        answered: list[bool],
        answers: bool,
    ) -> None:
        """Pass on what comes, each chunk when its time has come; `answered` is both ways' own."""
        under_way: asyncio.Queue[Chunk] = asyncio.Queue()

        async def deliver() -> None:
            while True:
                due, data = await under_way.get()
                await asyncio.sleep(due - self._loop.time())
                if not data:
                    target.write_eof()
                    return
                target.write(data)
                answered[0] = answered[0] or answers
                await target.drain()

        delivery = asyncio.create_task(deliver())
        while True:
            data = await source.read(CHUNK)
            if answered[0] and not answers and data:
                answered[0] = False
                self.turns += 1
            under_way.put_nowait((max(self._loop.time(), opened) + self.each_way, data))
            if not data:
                break
        await delivery
