"""A link that trickles: answers come a few bytes at a time, so that no single packet takes long."""

import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial

PIECE, PAUSE, WHOLE = 64, 0.03, 65_536


@contextmanager
def trickling(
    target: int, piece: int = PIECE, pause: float = PAUSE, *, begun: threading.Event | None = None
) -> Iterator[int]:
    """The port of a proxy before a server, whose answers come a few bytes at a time, as soon as that has begun."""
    if begun is None:
        begun = threading.Event()
        begun.set()
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.1)
        threads: list[threading.Thread] = []

        def accept() -> None:
            while not over.is_set():
                with suppress(OSError):
                    asking, _address = listening.accept()
                    answering = socket.create_connection(("127.0.0.1", target))
                    pumps = ((asking, answering, None), (answering, asking, partial(_pieces, begun, piece, pause)))
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


def _pieces(begun: threading.Event, size: int, pause: float, chunk: bytes) -> Iterator[tuple[bytes, float]]:
    """What comes of a chunk one after the other, each with how long it takes."""
    if begun.is_set():
        yield from ((chunk[first : first + size], pause) for first in range(0, len(chunk), size))
    else:
        yield chunk, 0


def _pump(
    over: threading.Event,
    source: socket.socket,
    sink: socket.socket,
    pieces: Callable[[bytes], Iterable[tuple[bytes, float]]] | None,
) -> None:
    with source, suppress(OSError):
        source.settimeout(0.2)
        while not over.is_set():
            try:
                chunk = source.recv(WHOLE)
            except TimeoutError:
                continue
            if not chunk:
                break
            for piece, pause in pieces(chunk) if pieces else [(chunk, 0)]:
                sink.sendall(piece)
                if over.wait(pause):
                    return
    with suppress(OSError):
        sink.shutdown(socket.SHUT_RDWR)
