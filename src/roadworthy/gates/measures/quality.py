"""Data quality: does a snapshot keep its contract?

In: a snapshot and a contract. Out: one finding per rule, with counts and example rows, sensitive columns masked. DuckDB
reads the table once for all column rules together, once for each set of unique columns, once for examples of what was
broken, and once for each query of the contract's own. Those queries run where they can reach nothing but the table.
Called by pipelines/ before training, by gates/evaluate.py, and by `rw data check`.
"""

import datetime as dt
import math
import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from roadworthy.data import contracts, snapshots, table_files
from roadworthy.data import sensitive as masking
from roadworthy.data.contracts import Check, Unique
from roadworthy.data.table_files import Tabular, identifier, literal
from roadworthy.nouns.errors import Fault, invalid
from roadworthy.nouns.evidence import Finding
from roadworthy.nouns.project import Contract, Freshness, SqlRule, seconds
from roadworthy.nouns.snapshot import Column, Snapshot
from roadworthy.store.store import Store

EXAMPLES_MAX = 5
EXAMPLE_COLUMNS_MAX = 20
EXAMPLE_TEXT_MAX = 80
# A query of the contract's own that takes longer is stopped.
SQL_S_MAX = 60.0
_ROW = "row"


def check(
    store: Store, snapshot: Snapshot, contract: Contract, *, sensitive: Collection[str] = frozenset()
) -> tuple[Finding, ...]:
    """Hold a snapshot against a contract.

    Args:
        store: where the snapshot is, and the clock that freshness is judged by.
        snapshot: tabular data.
        contract: as in the project file.
        sensitive: columns to mask beside those the contract marks itself.

    Returns:
        One finding per rule, in the order of the contract; see `failures` for those that stop.

    Raises:
        Fault: invalid when the data cannot be read, or a rule of the contract cannot be asked of it.
    """
    table = snapshots.tabular(store, snapshot)
    hidden = {*sensitive, *(name for name, rule in contract.columns.items() if rule.sensitive)}
    with _opened(store, table) as connection:
        columns = snapshot.columns or table_files.describe(connection, table)
        asking = _Asking(store, connection, columns, hidden)
        compiled = contracts.compile_contract(contract, columns, kind=table.kind)
        _check_patterns(connection, contract)
        with _answers():
            rows, found = asking.columns(compiled.checks)
            findings = [*compiled.settled, *found]
            findings += [asking.unique(unique, rows) for unique in compiled.unique]
            findings.append(_row_count(contract, rows))
            if contract.fresh is not None:
                findings.append(asking.fresh(contract.fresh))
        findings += [asking.query(rule, rows) for rule in contract.sql]
    order = {name: place for place, name in enumerate(contract.columns)}
    return tuple(sorted(findings, key=lambda finding: order.get(finding.column, len(order))))


def failures(findings: Sequence[Finding]) -> list[Finding]:
    """Those that stop a run: failed, and not merely a warning."""
    return [finding for finding in findings if not finding.passed and finding.level == "error"]


class _Asking:
    """A table that questions are put to, and how its answers may be shown."""

    def __init__(self, store: Store, connection: Any, columns: tuple[Column, ...], hidden: set[str]) -> None:
        self._store = store
        self._connection = connection
        self._columns = columns
        self._hidden = hidden
        self._secret = masking.secret(store.home / "keys") if hidden else b""

    def columns(self, checks: Sequence[Check]) -> tuple[int, list[Finding]]:
        """Every column rule in one aggregate: the number of rows, and what each rule found."""
        asked = ["count(*)"]
        for each in checks:
            asked.append(f"count(*) FILTER (WHERE {each.broken})")
            asked.append(each.measure or "NULL")
        answer = self._row(f"SELECT {', '.join(asked)} FROM data", _params(checks))
        rows = int(answer[0])
        counts = [int(answer[1 + 2 * place]) for place in range(len(checks))]
        broken = [
            each for each, count in zip(checks, counts, strict=True) if count > each.share_max * rows and count > 0
        ]
        examples = dict(zip((each.rule for each in broken), self._examples(broken), strict=True))
        findings = []
        for place, (each, count) in enumerate(zip(checks, counts, strict=True)):
            passed = each.rule not in examples
            measure = answer[2 + 2 * place]
            findings.append(
                Finding(
                    rule=each.rule,
                    column=each.column,
                    level=each.level,
                    passed=passed,
                    failed=count,
                    total=rows,
                    measured=self._measured(each, count, rows, measure, examples.get(each.rule, ())),
                    allowed=each.allowed,
                    examples=() if passed else examples[each.rule],
                )
            )
        return rows, findings

    def unique(self, unique: Unique, rows: int) -> Finding:
        """Whether no two rows share their values of these columns, by one query that also gives examples."""
        names = ", ".join(identifier(name) for name in unique.columns)
        present = " AND ".join(f"{identifier(name)} IS NOT NULL" for name in unique.columns)
        query = (
            f"SELECT {names}, count(*) AS __times, count(*) OVER () AS __groups, sum(count(*)) OVER () AS __rows "
            f"FROM data WHERE {present} GROUP BY {names} HAVING count(*) > 1 "
            f"ORDER BY __times DESC, {names} LIMIT {EXAMPLES_MAX}"
        )
        found = self._dicts(query)
        shared = int(found[0]["__rows"]) if found else 0
        groups = int(found[0]["__groups"]) if found else 0
        examples = tuple(
            self._shown({**{name: row[name] for name in unique.columns}, "rows": row["__times"]}) for row in found
        )
        label = f"{unique.columns[0]}: unique" if len(unique.columns) == 1 else f"unique: {', '.join(unique.columns)}"
        return Finding(
            rule=label,
            column=unique.columns[0] if len(unique.columns) == 1 else "",
            level=unique.level,
            passed=not found,
            failed=shared,
            total=rows,
            measured=f"{shared:,} rows share {groups:,} value{'s' if groups > 1 else ''}" if found else "",
            allowed="no two rows with the same value",
            examples=examples,
        )

    def fresh(self, rule: Freshness) -> Finding:
        """Whether the newest value of a column is young enough, by the store's clock; naive times are UTC."""
        label = f"{rule.column}: fresh"
        allowed = f"the newest at most {rule.max_age} old"
        column = next((column for column in self._columns if column.name == rule.column), None)
        if column is None:
            return Finding(
                rule=label, column=rule.column, level=rule.level, passed=False, failed=1, total=1,
                measured="no such column", allowed=allowed,
            )  # fmt: skip
        name = identifier(rule.column)
        value = name if contracts.is_time(column.type) else f"try_cast({name}::VARCHAR AS TIMESTAMP)"
        [newest] = self._row(f"SELECT epoch(max({value})) FROM data", {})
        age_s = math.inf if newest is None else self._store.clock.now() - float(newest)
        passed = age_s <= seconds(rule.max_age)
        when = "" if newest is None else dt.datetime.fromtimestamp(float(newest), dt.UTC).isoformat(" ", "seconds")
        return Finding(
            rule=label,
            column=rule.column,
            level=rule.level,
            passed=passed,
            failed=0 if passed else 1,
            total=1,
            measured=f"newest is {when}, {_age(age_s)} old" if when else "no value that is a time",
            allowed=allowed,
        )

    def query(self, rule: SqlRule, rows: int) -> Finding:
        """A query of the contract's own, which returns the rows that break the rule."""
        where = f"sql: {rule.name}"
        sql = _single_select(self._connection, rule.sql, where)
        timer = threading.Timer(SQL_S_MAX, self._connection.interrupt)
        timer.start()
        try:
            # A view takes the one statement as it is written, comments and semicolon included.
            self._connection.execute(f"CREATE OR REPLACE TEMP VIEW __broken AS {sql}")
            found = self._dicts(f"SELECT *, count(*) OVER () AS __count FROM __broken LIMIT {EXAMPLES_MAX}")
        except Exception as problem:
            raise _refused_query(problem, where) from None
        finally:
            timer.cancel()
        failed = int(found[0]["__count"]) if found else 0
        plain = {column.name for column in self._columns} - self._hidden
        # Where anything is sensitive, a new name may hide it (SELECT name AS n): only known columns are shown.
        masked = {name for row in found for name in row if name not in plain} if self._hidden else set()
        shown = tuple(self._shown({k: v for k, v in row.items() if k != "__count"}, masked) for row in found)
        return Finding(
            rule=where,
            level=rule.level,
            passed=not failed,
            failed=failed,
            total=rows,
            measured=f"{failed} rows" if failed else "",
            allowed="no row",
            examples=shown,
        )

    def _examples(self, broken: Sequence[Check]) -> list[tuple[dict[str, Any], ...]]:
        """The first rows that broke each rule, in one pass that keeps no more than those."""
        if not broken:
            return []
        asked = []
        for each in broken:
            others = [column.name for column in self._columns if column.name != each.column]
            shown = [each.column, *others[: EXAMPLE_COLUMNS_MAX - 1]]
            fields = ", ".join(f"{literal(f'c{i}')}: {identifier(name)}" for i, name in enumerate(shown))
            asked.append(f"arg_min({{{fields}, 'row': __row}}, __row, {EXAMPLES_MAX}) FILTER (WHERE {each.broken})")
        listed = ", ".join(f"{sql} AS e{place}" for place, sql in enumerate(asked))
        query = f"SELECT {listed} FROM (SELECT *, row_number() OVER () AS __row FROM data)"
        [answer] = self._dicts(query, _params(broken))
        found = []
        for place, each in enumerate(broken):
            others = [column.name for column in self._columns if column.name != each.column]
            shown = [each.column, *others[: EXAMPLE_COLUMNS_MAX - 1]]
            found.append(
                tuple(
                    self._shown({_ROW: row["row"], **{name: row[f"c{i}"] for i, name in enumerate(shown)}})
                    for row in answer[f"e{place}"] or ()
                )
            )
        return found

    def _measured(
        self, each: Check, count: int, rows: int, measure: Any, examples: Sequence[dict[str, Any]]
    ) -> str:  # fmt: skip
        if measure is not None and each.column not in self._hidden:
            return str(measure)
        if not count:
            return ""
        shown = (
            f", such as {examples[0].get(each.column)!r}"
            if examples and not each.rule.endswith("missing values")
            else ""
        )
        return f"{count:,} of {rows:,} rows{shown}"

    def _shown(self, row: dict[str, Any], also_masked: Collection[str] = ()) -> dict[str, Any]:
        """A row as it may be shown: JSON values, long ones cut, sensitive ones masked."""
        return {
            name: masking.mask(value, secret=self._secret)
            if name in self._hidden or name in also_masked
            else _plain(value)
            for name, value in row.items()
        }

    def _row(self, query: str, params: dict[str, Any]) -> tuple[Any, ...]:
        # All of them, although it is one: DuckDB holds the connection for whoever has not fetched to the end.
        [row] = self._connection.execute(query, params).fetchall()
        return tuple(row)

    def _dicts(self, query: str, params: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        # By way of Arrow: DuckDB's own rows need pytz for times with a zone.
        reader = self._connection.sql(query, params=params or None).to_arrow_reader(1024)
        return [row for batch in reader for row in batch.to_pylist()]


@contextmanager
def _opened(store: Store, table: Tabular) -> Iterator[Any]:
    """The table as `data` in a DuckDB that can reach nothing else: no files, network, extensions or settings."""
    with table_files.connect() as connection, table_files.faults(table):
        spill = store.home / "tmp"
        connection.execute(f"SET temp_directory = {literal(str(spill))}")
        if table.kind == "csv":
            # Parsed once, not once for each question.
            connection.execute(f"CREATE TABLE data AS SELECT * FROM {table_files.scan(table)}")
        else:
            connection.execute(f"CREATE VIEW data AS SELECT * FROM {table_files.scan(table)}")
        allowed = ", ".join(literal(str(path)) for path in table.paths)
        connection.execute(f"SET allowed_paths = [{allowed}]")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        yield connection


@contextmanager
def _answers() -> Iterator[None]:
    """What DuckDB says of a bound that is none (a date, say) as a fault of the contract."""
    import duckdb

    try:
        yield
    except duckdb.ConversionException as problem:
        raise invalid(f"the contract compares what cannot be compared: {_one_line(problem)}") from None


def _check_patterns(connection: Any, contract: Contract) -> None:
    import duckdb

    for name, rule in contract.columns.items():
        try:
            connection.execute("SELECT regexp_full_match('', $pattern)", {"pattern": rule.pattern or ""}).fetchall()
        except duckdb.Error as problem:
            raise invalid(
                f"a pattern of the contract is wrong: {_one_line(problem)}",
                where=f"columns.{name}.pattern",
                fix="patterns are RE2's: no look-around, no back-references",
            ) from None


def _single_select(connection: Any, sql: str, where: str) -> str:
    import duckdb

    try:
        statements = connection.extract_statements(sql)
    except duckdb.Error as problem:
        raise _refused_query(problem, where) from None
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise invalid("a rule's SQL must be one SELECT over the table `data`", where=where)
    return str(statements[0].query).strip()


def _refused_query(problem: Exception, where: str) -> Fault:
    text = _one_line(problem)
    if "interrupt" in text.lower():
        return invalid(f"the query took longer than {SQL_S_MAX:.0f} s and was stopped", where=where)
    if "Permission Error" in text or "locked" in text:
        return invalid(
            "the query reaches for what it may not: files, settings and the network are out of bounds",
            where=where,
            fix="it may read the table `data`, and nothing else",
        )
    return invalid(f"the query fails: {text}", where=where)


def _one_line(problem: Exception) -> str:
    return " ".join(str(problem).split())[:300]


def _row_count(contract: Contract, rows: int) -> Finding:
    rule = contract.rows
    low = 1 if rule is None or rule.min is None else rule.min
    high = None if rule is None else rule.max
    passed = rows >= low and (high is None or rows <= high)
    return Finding(
        rule="row count",
        level="error" if rule is None else rule.level,
        passed=passed,
        failed=0 if passed else 1,
        total=1,
        measured=f"{rows} rows",
        allowed=f"at least {low}" + (f" and at most {high}" if high is not None else ""),
    )


def _params(checks: Sequence[Check]) -> dict[str, Any]:
    return {name: value for each in checks for name, value in each.params.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, bytes):
        value = value.hex()
    text = value.isoformat() if hasattr(value, "isoformat") else str(value)
    return text if len(text) <= EXAMPLE_TEXT_MAX else text[: EXAMPLE_TEXT_MAX - 1] + "…"


def _age(age_s: float) -> str:
    for unit, length_s in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if age_s >= 2 * length_s:
            return f"{age_s / length_s:.1f} {unit}"
    return f"{age_s:.0f} s"
