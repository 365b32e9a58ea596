"""An artifact of 1 GB through the server: up, down, and the memory the server holds meanwhile.

In: a server. Out: seconds of both ways, and the greatest PSS of the whole process tree while they ran. What comes down
is held against what went up. FastTrackML has no such routes: its clients write to the store themselves.
"""

import hashlib
import os
import time
from collections.abc import Iterator
from typing import Any

from benchmarks.server.ingest import new_run
from benchmarks.server.servers import Running, Watch
from benchmarks.server.wire import connect

PIECE = 1 << 20
PATTERN = os.urandom(PIECE)


def pieces(size: int) -> Iterator[bytes]:
    """Bytes that no compression shortens, the same ones every time, each piece another."""
    for number in range(size // PIECE):
        yield number.to_bytes(8, "little") + PATTERN[8:]


def digest(size: int) -> bytes:
    whole = hashlib.blake2b()
    for piece in pieces(size):
        whole.update(piece)
    return whole.digest()


def there_and_back(server: Running, size: int, wanted: bytes) -> dict[str, Any]:
    connection = server.connection()
    run = new_run(connection, "artifact")
    connection.close()
    path = f"/api/2.0/mlflow-artifacts/artifacts/0/{run}/artifacts/large.bin"
    with Watch(server) as watch:
        up_s = up(server.port, path, size)
        down_s, came = down(server.port, path, size)
    assert came == wanted, f"{server.name}: what came down is not what went up"
    return {"up": up_s, "down": down_s, "pss": watch.most["pss"]}


def up(port: int, path: str, size: int) -> float:
    sending = connect(port)
    sending.settimeout(300)
    head = f"PUT {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/octet-stream\r\n"
    begin = time.perf_counter()
    sending.sendall(f"{head}Content-Length: {size}\r\n\r\n".encode())
    for piece in pieces(size):
        sending.sendall(piece)
    answer = sending.recv(PIECE)
    took = time.perf_counter() - begin
    sending.close()
    assert answer[9:12] == b"200", answer[:500]
    return took


def down(port: int, path: str, size: int) -> tuple[float, bytes]:
    """Seconds, and the digest of what came (made after the clock stopped: it is ours to pay, not the server's)."""
    asking = connect(port)
    asking.settimeout(300)
    buffer = bytearray(size + (1 << 22))
    view = memoryview(buffer)
    begin = time.perf_counter()
    # HTTP/1.0, so that the end of the connection ends the body, however the server would have framed it.
    asking.sendall(f"GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n".encode())
    filled = start = 0
    while not start or filled - start < size:
        count = asking.recv_into(view[filled:], PIECE)
        if not count:
            break
        filled += count
        if not start:
            end = buffer.find(b"\r\n\r\n", 0, filled)
            start = end + 4 if end >= 0 else 0
    took = time.perf_counter() - begin
    asking.close()
    assert buffer[9:12] == b"200", bytes(buffer[:500])
    return took, hashlib.blake2b(view[start : start + size]).digest()
