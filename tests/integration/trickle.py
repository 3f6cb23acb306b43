"""A link that trickles: answers come a few bytes at a time, so that no single packet takes long."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

PIECE, PAUSE = 64, 0.03


@contextmanager
def trickling(target: int) -> Iterator[int]:
    """The port of a proxy before a server, whose answers come 64 bytes each 30 ms."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.1)
        threads: list[threading.Thread] = []

        def accept() -> None:
            while not over.is_set():
                with suppress(OSError):
                    asking, _address = listening.accept()
                    answering = socket.create_connection(("127.0.0.1", target))
                    pumps = ((asking, answering, 65536, 0.0), (answering, asking, PIECE, PAUSE))
                    threads.extend(threading.Thread(target=_pump, args=(over, *pump), daemon=True) for pump in pumps)
                    for thread in threads[-2:]:
                        thread.start()

        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        try:
            yield listening.getsockname()[1]
        finally:
            over.set()
            for thread in (accepting, *threads):
                thread.join(10)


def _pump(over: threading.Event, source: socket.socket, sink: socket.socket, size: int, pause: float) -> None:
    with source, suppress(OSError):
        source.settimeout(0.2)
        while not over.is_set():
            try:
                chunk = source.recv(size)
            except TimeoutError:
                continue
            if not chunk:
                break
            sink.sendall(chunk)
            over.wait(pause)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_RDWR)
