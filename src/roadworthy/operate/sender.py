"""Send rows to a live target over HTTP as any client would: `POST /invocations`, a few connections, small batches.

In: a table and a URL. Out: the rows answered. Called by replay.py.
"""

import http.client
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import msgspec

from roadworthy.nouns.errors import Fault, invalid, unavailable
from roadworthy.store.clock import SystemClock

if TYPE_CHECKING:
    import pandas as pd

CHUNK_ROWS_MAX = 500
CONNECTIONS = 4
ATTEMPTS = 8
TIMEOUT_S = 60.0
PAUSE_S = 0.1
PAUSE_S_MAX = 5.0
PASSING = frozenset({429, 502, 503, 504})
ANSWER_SHOWN_MAX = 400


class Chunk(NamedTuple):
    """Rows of one request, and the id it goes by in the inference log."""

    request: str
    table: "pd.DataFrame"


class Sender:
    """A few kept connections to one target.

    Args:
        url: the target's address, such as `http://127.0.0.1:8600`.
        connections: requests under way at once.
        wait: waits so many seconds between attempts; the machine's clock, whatever the project's.
    """

    def __init__(
        self, url: str, *, connections: int = CONNECTIONS, wait: Callable[[float], None] | None = None
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname:
            raise invalid("rows are replayed to an http URL", where=url)
        self._host, self._port = parts.hostname, parts.port or http.client.HTTP_PORT
        self._path = parts.path.rstrip("/") + "/invocations"
        self._wait = wait or SystemClock().sleep
        self._local = threading.local()
        self._opened: list[http.client.HTTPConnection] = []
        self._pool = ThreadPoolExecutor(connections, thread_name_prefix="replay")
        self.connections = connections

    def send(self, chunks: Sequence[Chunk]) -> Iterator[int]:
        """Send chunks, as many at once as there are connections.

        Yields:
            After each wave of chunks, all of which were answered, how many rows it had.

        Raises:
            Fault: invalid when the target refuses a row, unavailable when it does not answer.
        """
        for i in range(0, len(chunks), self.connections):
            wave = chunks[i : i + self.connections]
            for answered in [self._pool.submit(self._post, chunk) for chunk in wave]:
                answered.result()
            yield sum(len(chunk.table) for chunk in wave)

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        for connection in self._opened:
            connection.close()

    def _post(self, chunk: Chunk) -> None:
        body, said = body_of(chunk.table), ""
        for attempt in range(ATTEMPTS):
            if attempt:
                self._wait(min(PAUSE_S * 2 ** (attempt - 1), PAUSE_S_MAX))
            try:
                status, answer = self._exchange(chunk.request, body)
            except (OSError, http.client.HTTPException) as problem:
                self._connection().close()
                said = f"does not answer: {problem or type(problem).__name__}"
                continue
            if status == http.client.OK:
                return
            said = f"answered {status}: {answer[:ANSWER_SHOWN_MAX].decode('utf-8', 'replace')}"
            if status not in PASSING:
                raise self._refused(status, said)
        raise unavailable(f"the target {said}", where=f"{self._host}:{self._port}", fix="look at it: rw status")

    def _exchange(self, request: str, body: bytes) -> tuple[int, bytes]:
        connection = self._connection()
        headers = {"Content-Type": "application/json", "X-Request-Id": request}
        connection.request("POST", self._path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()

    def _connection(self) -> http.client.HTTPConnection:
        found: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if found is None:
            found = http.client.HTTPConnection(self._host, self._port, timeout=TIMEOUT_S)
            self._local.connection = found
            self._opened.append(found)
        return found

    def _refused(self, status: int, said: str) -> Fault:
        if 400 <= status < 500:
            return invalid(
                f"the target refuses the rows: it {said}",
                where=f"{self._host}:{self._port}",
                fix="replay rows that the model's signature takes: rw models show",
            )
        return unavailable(f"the target {said}", where=f"{self._host}:{self._port}")


def body_of(table: "pd.DataFrame") -> bytes:
    """A table as the JSON of a request: `dataframe_split`, nulls for what is missing, ISO 8601 for moments."""
    columns = [_values(table[name]) for name in table.columns]
    data = list(zip(*columns, strict=True)) if columns else []
    return msgspec.json.encode({"dataframe_split": {"columns": [str(c) for c in table.columns], "data": data}})


def _values(series: "pd.Series") -> list[Any]:
    import pandas as pd

    if pd.api.types.is_datetime64_any_dtype(series.dtype):
        return [None if pd.isna(moment) else moment.isoformat() for moment in series]
    objects = series.astype(object)
    plain: list[Any] = objects.where(series.notna(), None).tolist()
    return plain
