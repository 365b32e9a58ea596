"""The server's state: its store, how its handlers write and read, what it counts.

In: handlers. Out: `write` (in a group commit, done when it is durable), `read` (in a thread, for what takes longer than
a moment) and `store` itself for look-ups by key, which are quicker done than handed over.
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal, TypeVar

import msgspec

from roadworthy.faces.server.identity.door import Door
from roadworthy.faces.server.identity.oidc import Login, Provider, secret_of
from roadworthy.faces.server.identity.who import Identity
from roadworthy.faces.server.identity.workloads import Workload, Workloads
from roadworthy.nouns.errors import Fault, unavailable
from roadworthy.serving.counters import Counters
from roadworthy.store.group import Ahead, GroupCommit
from roadworthy.store.store import Store

T = TypeVar("T")
READERS = 4
DISK_THREADS = 4
READS_WAITING_MAX = 1_000
READ_S_MAX = 120.0


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How a server was started.

    Args:
        url: where clients reach it, for answers that name it.
        hosts: names it answers for beside its own address.
        login: whether every request must say who asks.
        exposed: whether it listens on more than the loopback address.
        behind_proxy: whether a proxy of one's own stands before it and says where requests come from.
        oidc: the identity provider of people, if there is one.
        workloads: machines that show tokens of their platform's.
        log_format: `text` or `json`.
        access_log: whether each request gets a line in the log.
        secure: whether clients reach it by TLS, by its own or the proxy's.
        requests_per_s: of one identity or address; more are asked to wait. 0 for any number.
        mlflow_ui: the folder of an installed MLflow's pages, empty to serve none.
        uploads_bytes_max: of one artifact.
        private_webhooks: whether webhooks may go to private addresses.
    """

    url: str = ""
    hosts: tuple[str, ...] = ()
    login: bool = False
    exposed: bool = False
    behind_proxy: bool = False
    oidc: Provider | None = None
    workloads: tuple[Workload, ...] = ()
    secure: bool = False
    log_format: Literal["text", "json"] = "text"
    access_log: bool = False
    requests_per_s: float = 0.0
    mlflow_ui: str = ""
    uploads_bytes_max: int = 1 << 40
    private_webhooks: bool = False


class Server:
    """What all handlers share.

    Args:
        store: opened; this process alone writes through it.
    """

    def __init__(self, store: Store, settings: Settings) -> None:
        store.sql.read_beside()
        self.store = store
        self.settings = settings
        self.group = GroupCommit(store)
        self.counters = Counters(every_path=True)
        self.login = Login(settings.oidc, secret_of(settings.oidc)) if settings.oidc is not None else None
        self.door = Door(store, self.some_time, [Workloads(settings.workloads).vouch] if settings.workloads else ())
        self.ready = False
        self._beside: list[Callable[[], Coroutine[Any, Any, None]]] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._reads_waiting = 0
        self._threads = ThreadPoolExecutor(READERS, thread_name_prefix="reader")
        self._disk = ThreadPoolExecutor(DISK_THREADS, thread_name_prefix="disk")
        self.under_way = 0
        gauge = self.counters.gauge
        gauge("roadworthy_requests_under_way", "Requests being answered.", lambda: float(self.under_way))
        gauge("roadworthy_logins_failed", "Passwords that were wrong.", lambda: float(self.door.failed))
        gauge("roadworthy_writes_waiting", "Changes that wait for the disk.", lambda: float(self.group.waiting))
        gauge("roadworthy_commits", "Transactions committed.", lambda: float(self.group.commits))
        gauge("roadworthy_changes", "Changes committed.", lambda: float(self.group.pieces))
        gauge("roadworthy_reads_waiting", "Searches that wait or run.", lambda: float(self._reads_waiting))

    async def write(self, work: Callable[[Store], T], identity: Identity, *, ahead: Ahead | None = None) -> T:
        """Do `work(store)` in the next group; its result once it is durable.

        The store it is given is inside the transaction: room functions that change or read work on it as on any other.
        `work` waits for nothing but the store, and what it raises takes back what it did.
        """
        result: T = await self.group.submit(work, actor=identity.name, source=identity.source, ahead=ahead)
        return result

    async def write_access(self, work: Callable[[Store], T], identity: Identity) -> T:
        """As `write`, of what says who may do what: when it returns, nobody is known any more from before."""
        result = await self.write(work, identity)
        self.door.forget()
        return result

    def some_time(self, work: Callable[[Store], None], then: Callable[[], None] = lambda: None) -> None:
        """Do `work(store)` in a group to come, and `then()`; nobody waits for it, and nobody hears when it fails."""

        def settled(done: "asyncio.Future[None]") -> None:
            if not done.cancelled() and done.exception() is None:
                then()

        with contextlib.suppress(Fault):
            self.group.submit(work).add_done_callback(settled)

    async def read(self, work: Callable[[Store], T]) -> T:
        """Do `work(store)` in a thread, beside the writer and other reads."""
        if self._reads_waiting >= READS_WAITING_MAX:
            raise unavailable("too many searches wait", fix="try again in a second")
        self._reads_waiting += 1
        try:
            # Not wait_for, which in Python 3.11 loses a cancellation that comes as the work ends.
            async with asyncio.timeout(READ_S_MAX):
                return await asyncio.get_running_loop().run_in_executor(self._threads, work, self.store)
        except TimeoutError:
            raise unavailable(f"the search took over {READ_S_MAX:.0f} s", fix="ask for less at once") from None
        finally:
            self._reads_waiting -= 1

    def disk(self, work: Callable[..., T], *arguments: Any) -> "asyncio.Future[T]":
        """Do `work(*arguments)`, which waits for the disk or a blob store, in a thread made for that."""
        return asyncio.get_running_loop().run_in_executor(self._disk, work, *arguments)

    def beside(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Have work that never ends done beside the requests, from the server's start until it closes."""
        self._beside.append(work)

    def begin(self) -> None:
        """Take requests, and begin what goes on beside them."""
        self.ready = True
        self._tasks = [asyncio.get_running_loop().create_task(work()) for work in self._beside]

    async def close(self) -> None:
        """Finish what was taken on, and close the store."""
        self.ready = False
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.group.drain()
        self._threads.shutdown()
        self._disk.shutdown()
        self.store.close()
