"""The server's reads, without an application."""

import asyncio
import threading

import pytest

from roadworthy.faces.server.server import Server, Settings
from roadworthy.store.store import Store


def test_a_reader_cancelled_as_its_work_ends_is_cancelled(store: Store) -> None:
    async def talk() -> None:
        server, began = Server(store, Settings()), threading.Event()
        reading = asyncio.create_task(server.read(lambda _: began.wait(5)))
        await asyncio.sleep(0)
        began.set()
        server._threads.shutdown()  # the work is done, and the loop has not been told yet
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading

    asyncio.run(talk())
