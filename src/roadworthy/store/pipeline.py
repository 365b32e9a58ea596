"""A PostgreSQL connection in pipeline mode: statements go out as they come, and answers are waited for when wanted.

In: a psycopg connection that nobody else uses meanwhile. Out: rows. Called by store/pipelined.py. It speaks to libpq by
psycopg's own interface to it (`psycopg.pq`), and leaves types to psycopg's adapters; what it does without is psycopg's
cursors, which take longer over a statement than PostgreSQL does. Statements are prepared once a connection.

Between two syncs PostgreSQL skips everything after a statement that failed, the commit too, so what went wrong first is
what is raised, at the next wait.
"""

import contextlib
import itertools
import select
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

# An insert of each number of rows is a statement of its own (store/many_rows.py).
PREPARED_MAX = 400
_numbers = itertools.count()  # of prepared statements: the name of one that failed is never used again
_NOTHING_MAX = 1_000  # ends of answers, one after another


class Answer:
    """What a statement says; nothing yet, or nothing as it failed."""

    __slots__ = ("result",)

    def __init__(self) -> None:
        self.result: Any = None


class _Preparation(Answer):
    """A statement's preparation, which holds only if it went well."""

    __slots__ = ("key",)

    def __init__(self, key: tuple[str, tuple[int, ...]]) -> None:
        super().__init__()
        self.key = key


class Pipeline:
    """A connection's pipeline, for one transaction after another.

    Args:
        connection: psycopg's.
    """

    def __init__(self, connection: Any) -> None:
        from psycopg import adapt, errors, pq

        self.connection = connection
        self._pg = connection.pgconn
        self._types = adapt.Transformer(connection)
        self._any_format = adapt.PyFormat.AUTO
        self._error = errors.error_from_result
        self._well = {pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK}
        self._synced = pq.ExecStatus.PIPELINE_SYNC
        self._aborted = pq.ExecStatus.PIPELINE_ABORTED
        self._poll = select.poll()
        self._poll.register(self._pg.socket, select.POLLIN)
        self._prepared: dict[tuple[str, tuple[int, ...]], bytes] = {}
        self._asked: deque[Answer] = deque()
        self._problem: Exception | None = None

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Pipeline mode; when the block ends, every statement was answered and none has failed.

        Raises:
            psycopg.Error: what the first that failed said.
        """
        self._asked.clear()
        self._problem = None
        self._pg.enter_pipeline_mode()
        try:
            yield
        except BaseException:
            with contextlib.suppress(Exception):
                self._end()
            if self._asked:  # it cannot be brought to an end: who comes next begins with a new one
                self.connection.close()
            raise
        try:
            self._end()
        except BaseException:
            self.connection.close()
            raise
        if self._problem is not None:
            raise self._problem

    def send(self, sql: str, params: Sequence[Any]) -> Answer:
        """Ask something with `$1`, `$2` and so on for parameters, and do not wait."""
        pg = self._pg
        answer = Answer()
        if not params:
            pg.send_query_params(sql.encode(), None)
            self._asked.append(answer)
            return answer
        values = self._types.dump_sequence(params, [self._any_format] * len(params))
        types = tuple(self._types.types or ())
        key = (sql, types)
        name = self._prepared.get(key)
        if name is None and len(self._prepared) < PREPARED_MAX:
            name = self._prepared[key] = b"rw%d" % next(_numbers)
            pg.send_prepare(name, sql.encode(), param_types=types)
            self._asked.append(_Preparation(key))
        if name is None:
            pg.send_query_params(sql.encode(), values, param_types=types, param_formats=self._types.formats)
        else:
            pg.send_query_prepared(name, values, param_formats=self._types.formats)
        self._asked.append(answer)
        return answer

    def rows(self, answer: Answer) -> list[tuple[Any, ...]]:
        """The rows that a statement gives."""
        result = self._result(answer)
        self._types.set_pgresult(result)
        rows: list[tuple[Any, ...]] = self._types.load_rows(0, result.ntuples, tuple)
        return rows

    def changed(self, answer: Answer) -> int:
        """How many rows a statement changed."""
        return self._result(answer).command_tuples or 0

    def _result(self, answer: Answer) -> Any:
        if answer.result is None and self._problem is None:
            self._pg.send_flush_request()
            self._hear(until=answer)
        if answer.result is None:
            assert self._problem is not None
            raise self._problem
        return answer.result

    def _end(self) -> None:
        self._pg.pipeline_sync()
        self._asked.append(Answer())
        self._hear(until=None)
        self._pg.exit_pipeline_mode()

    def _hear(self, *, until: Answer | None) -> None:
        """Take what comes, until an answer is there or something failed; all of it when none is given."""
        pg, nothing = self._pg, 0
        unsent = pg.flush()
        while self._asked and (until is None or (until.result is None and self._problem is None)):
            if pg.is_busy():
                self._poll.modify(pg.socket, select.POLLIN | select.POLLOUT if unsent else select.POLLIN)
                self._poll.poll()
                pg.consume_input()
                unsent = pg.flush()
                continue
            result = pg.get_result()
            if result is None:  # between the answers of two statements
                nothing += 1
                assert nothing < _NOTHING_MAX, "PostgreSQL has no answer to a statement that was sent"
                continue
            nothing = 0
            self._take(self._asked.popleft(), result)

    def _take(self, answer: Answer, result: Any) -> None:
        status = result.status
        if status in self._well or status == self._synced:
            answer.result = result
            return
        if isinstance(answer, _Preparation):
            del self._prepared[answer.key]
        if self._problem is None and status != self._aborted:
            self._problem = self._error(result, self._types.encoding)
