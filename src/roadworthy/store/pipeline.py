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
from functools import lru_cache
from typing import Any

# An insert of each number of rows is a statement of its own (store/many_rows.py).
PREPARED_MAX = 400
KINDS_MAX = 4_000
_UNKNOWN_NAME = "26000"
_numbers = itertools.count()  # of prepared statements: the name of one that failed is never used again
_NOTHING_MAX = 1_000  # ends of answers, one after another


class Answer:
    """What a statement says; nothing yet, or nothing as it failed."""

    __slots__ = ("result", "wanted")

    def __init__(self) -> None:
        self.result: Any = None
        self.wanted = False  # whether PostgreSQL was told to give it without waiting for more


# A statement, and the types of its parameters.
_Key = tuple[str, tuple[int, ...]]


class _Preparation(Answer):
    """A statement's preparation, which holds only if it went well."""

    __slots__ = ("key",)

    def __init__(self, key: _Key) -> None:
        super().__init__()
        self.key = key


class _Sync(Answer):
    """The end of a transaction, which PostgreSQL says is reached whether or not it committed."""

    __slots__ = ()


@lru_cache(maxsize=1)
def _lists() -> Any:
    """What writes lists of words and of whole numbers, at a tenth of what psycopg's own takes for any lists."""
    from psycopg.types.array import ListDumper

    class Lists(ListDumper):
        oid = 0  # PostgreSQL knows from the statement what kind of array it is

        def get_key(self, obj: list[Any], format: Any) -> Any:  # noqa: A002 - psycopg's name
            return self.cls if _is_simple(obj) else super().get_key(obj, format)

        def upgrade(self, obj: list[Any], format: Any) -> Any:  # noqa: A002
            return self if _is_simple(obj) else super().upgrade(obj, format)

        def dump(self, obj: list[Any]) -> Any:
            if not _is_simple(obj):
                return super().dump(obj)
            if obj and type(obj[0]) is int:
                return ("{" + ",".join(map(str, obj)) + "}").encode()
            quoted = [each.replace("\\", "\\\\").replace('"', '\\"') for each in obj]
            return ('{"' + '","'.join(quoted) + '"}').encode() if obj else b"{}"

    return Lists


def _is_simple(values: list[Any]) -> bool:
    kinds = set(map(type, values))
    return not kinds or kinds in ({str}, {int})


class Pipeline:
    """A connection's pipeline, for one transaction after another.

    Args:
        connection: psycopg's.
    """

    def __init__(self, connection: Any) -> None:
        from psycopg import adapt, errors, pq

        self.connection = connection
        # psycopg forgets what it prepared by DEALLOCATE ALL, which would take what is prepared here with it.
        connection.prepare_threshold = None
        self._pg = connection.pgconn
        connection.adapters.register_dumper(list, _lists())
        self._types = adapt.Transformer(connection)
        self._any_format = adapt.PyFormat.AUTO
        self._error = errors.error_from_result
        self._well = {pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK}
        self._synced = pq.ExecStatus.PIPELINE_SYNC
        self._aborted = pq.ExecStatus.PIPELINE_ABORTED
        self._poll = select.poll()
        self._poll.register(self._pg.socket, select.POLLIN)
        self._prepared: dict[_Key, bytes] = {}  # the one that was not used for longest first
        self._once: dict[_Key, None] = {}  # what was asked once; what is asked again is prepared
        self._kinds: dict[str, tuple[int, ...]] = {}  # of each statement, the types that its parameters have had
        self._asked: deque[Answer] = deque()
        self._problem: Exception | None = None

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Pipeline mode, one transaction: PostgreSQL begins it by itself and commits it at the sync.

        When the block ends, every statement was answered, none has failed, and all is committed; when it raises,
        nothing is.

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
                # A rollback of what nobody said begins would be warned of in the server's log.
                self.send("BEGIN", ())
                self.send("ROLLBACK", ())
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
        values = self._types.dump_sequence(params, [self._any_format] * len(params))
        formats = self._types.formats
        key = (sql, self._kinds_of(sql, values))
        name = self._prepared.pop(key, None) or self._prepare(key)
        if name is None:
            pg.send_query_params(sql.encode(), values, param_types=key[1], param_formats=formats)
        else:
            self._prepared[key] = name
            pg.send_query_prepared(name, values, param_formats=formats)
        self._asked.append(answer)
        return answer

    def _kinds_of(self, sql: str, values: Sequence[Any]) -> tuple[int, ...]:
        """The types of a statement's parameters; one that is null has the type it had before, or none."""
        kinds: tuple[int, ...] = self._types.types or ()
        before = self._kinds.get(sql)
        if None in values:
            of_nulls = before or (0,) * len(kinds)
            kinds = tuple(
                known if value is None else own for value, known, own in zip(values, of_nulls, kinds, strict=True)
            )
        if kinds != before:
            if len(self._kinds) >= KINDS_MAX:
                self._kinds.clear()
            self._kinds[sql] = kinds
        return kinds

    def _prepare(self, key: _Key) -> bytes | None:
        """Prepare a statement that is asked for the second time; the name of what was prepared."""
        if key not in self._once:
            if len(self._once) >= KINDS_MAX:
                self._once.clear()
            self._once[key] = None
            return None
        if len(self._prepared) >= PREPARED_MAX:
            oldest = next(iter(self._prepared))
            self._pg.send_query_params(b"DEALLOCATE " + self._prepared.pop(oldest), None)
            self._asked.append(Answer())
        name = b"rw%d" % next(_numbers)
        self._pg.send_prepare(name, key[0].encode(), param_types=key[1])
        self._asked.append(_Preparation(key))
        return name

    def push(self) -> None:
        """Let what was sent be on its way now, as far as there is room for it."""
        self._pg.flush()

    def want(self, answers: Sequence[Answer]) -> None:
        """Have PostgreSQL work on these now; it is not waited for."""
        for answer in answers:
            answer.wanted = True
        self._pg.send_flush_request()
        self._pg.flush()

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
            if not answer.wanted:
                self._pg.send_flush_request()
            self._hear(until=answer)
        if answer.result is None:
            assert self._problem is not None
            raise self._problem
        return answer.result

    def _end(self) -> None:
        self._pg.pipeline_sync()
        self._asked.append(_Sync())
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
                if nothing > _NOTHING_MAX:
                    raise RuntimeError("PostgreSQL has no answer to a statement that was sent")
                continue
            nothing = 0
            self._take(self._asked.popleft(), result)

    def _take(self, answer: Answer, result: Any) -> None:
        status = result.status
        if status in self._well or status == self._synced:
            answer.result = result
            return
        if isinstance(answer, _Sync):
            self._asked.appendleft(answer)  # what the commit was refused for comes before it
        if isinstance(answer, _Preparation):
            self._prepared.pop(answer.key, None)
        if self._problem is None and status != self._aborted:
            self._problem = self._error(result, self._types.encoding)
            if getattr(self._problem, "sqlstate", "") == _UNKNOWN_NAME:
                self._prepared.clear()  # somebody took them away: a pooler, or whoever said DEALLOCATE
