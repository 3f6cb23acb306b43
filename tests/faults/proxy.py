"""A TCP proxy before Redis that now and then is slow, breaks a connection, or swallows what was sent."""

import asyncio
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

CHUNK = 65536
DELAYED, RESET, SWALLOWED = 0.03, 0.003, 0.003
"""Shares of the chunks that pass."""
LONGEST_DELAY = 0.04
WITHIN = 30.0


class Proxy:
    """Listens on a port of its own; where it connects to may change while it runs."""

    def __init__(self, target: int, seed: int) -> None:
        self.target = target
        self.port = 0
        self.done: Counter[str] = Counter()
        self.end: Callable[[], object] = lambda: None
        self._random = random.Random(seed)

    async def serve(self, listening: threading.Event) -> None:
        """Until ``end``; what is then still open is closed."""
        loop, over = asyncio.get_running_loop(), asyncio.Event()
        self.end = lambda: loop.call_soon_threadsafe(over.set)
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        listening.set()
        await over.wait()
        server.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.close()
            return
        await asyncio.gather(self._pump(reader, back, asks=True), self._pump(there, writer, asks=False))

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, asks: bool) -> None:
        try:
            with suppress(OSError):
                while (chunk := await source.read(CHUNK)) and await self._passes(asks=asks):
                    sink.write(chunk)
                    await sink.drain()
        finally:
            sink.close()

    async def _passes(self, *, asks: bool) -> bool:
        """Whether the connection goes on; the asker of a swallowed question waits until it gives up."""
        drawn = self._random.random()
        if drawn < RESET:
            self.done["reset"] += 1
            return False
        if asks and drawn < RESET + SWALLOWED:
            self.done["swallowed"] += 1
            await asyncio.sleep(10 * LONGEST_DELAY)
            return False
        if drawn < RESET + SWALLOWED + DELAYED:
            self.done["delayed"] += 1
            await asyncio.sleep(self._random.uniform(0, LONGEST_DELAY))
        return True


@contextmanager
def proxy_before(target: int, seed: int) -> Iterator[Proxy]:
    """A running proxy, in a thread of its own."""
    proxy, listening = Proxy(target, seed), threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(proxy.serve(listening)), daemon=True)
    thread.start()
    assert listening.wait(WITHIN)
    try:
        yield proxy
    finally:
        proxy.end()
        thread.join(WITHIN)
        assert not thread.is_alive()
