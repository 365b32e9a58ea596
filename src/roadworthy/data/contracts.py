"""A data contract compiled: which rules are settled by the columns alone, and what SQL asks the rows.

In: a `Contract` and the columns of a table. Out: findings and checks, which gates/measures/quality.py asks of DuckDB in
one pass. Nothing here reads data. Values of the contract become parameters, never SQL; names go through `identifier`.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from roadworthy.data.table_files import identifier
from roadworthy.nouns.errors import invalid
from roadworthy.nouns.evidence import Finding
from roadworthy.nouns.project import ColumnContract, Contract
from roadworthy.nouns.snapshot import Column

_INTEGERS = {
    f"{sign}{size}INT" if size != "INTEGER" else f"{sign}INTEGER"
    for sign in ("", "U")
    for size in ("TINY", "SMALL", "INTEGER", "BIG", "HUGE")
}
_FLOATS = {"FLOAT", "DOUBLE", "REAL"}
_NUMBERS = _INTEGERS | _FLOATS | {"DECIMAL"}
_TIMES = {"TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "TIMESTAMP WITH TIME ZONE"}
_STRINGS = {"VARCHAR", "ENUM", "UUID"}
_NOTHING = '"NULL"'
_SHOWN_VALUES = 8


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """A question to every row.

    Args:
        rule: how it is called, such as `carrier: allowed values`.
        column: the column it is about.
        level: `error` or `warn`.
        broken: SQL that is true for a row that breaks the rule.
        allowed: what would pass, in words.
        share_max: share of rows that may break it, 0 to 1.
        params: values in `broken`.
        measure: SQL of an aggregate that says what was found, empty for none.
    """

    rule: str
    column: str
    level: str
    broken: str
    allowed: str
    share_max: float = 0.0
    params: dict[str, Any] = msgspec.field(default_factory=dict)
    measure: str = ""


class Unique(msgspec.Struct, frozen=True, kw_only=True):
    """Columns whose values, taken together, no two rows may share; rows with a missing one are passed over."""

    columns: tuple[str, ...]
    level: str = "error"


class Compiled(msgspec.Struct, frozen=True, kw_only=True):
    """A contract as it applies to a table: what its columns settled, and what the rows are asked."""

    settled: tuple[Finding, ...]
    checks: tuple[Check, ...]
    unique: tuple[Unique, ...]


def compile_contract(contract: Contract, columns: tuple[Column, ...], *, kind: str) -> Compiled:
    """Hold a contract against a table's columns.

    Args:
        contract: as in the project file.
        columns: of the table.
        kind: `csv` or `parquet`; in a CSV a column that is text because one value did not parse is asked row by row.

    Raises:
        Fault: invalid when the contract asks what its column's type cannot answer.
    """
    there = {column.name: column for column in columns}
    settled = list(_table_level(contract, there))
    checks: list[Check] = []
    unique: list[Unique] = []
    for name, rule in contract.columns.items():
        if name not in there:
            if rule.required:
                settled.append(_settled(f"{name}: present", name, rule.level, "missing", "a column of this name"))
            continue
        settled.append(_settled(f"{name}: present", name, rule.level, "", "", passed=True))
        compiler = _Compiler(name, _base(there[name].type), rule, kind, len(checks))
        found, asked = compiler.type_rule()
        if found is not None:
            settled.append(found)
        checks += asked
        if found is None or found.passed:
            checks += compiler.value_rules()
        checks += compiler.null_rule()
        if rule.unique:
            unique.append(Unique(columns=(name,), level=rule.level))
    for listed in contract.unique:
        names = (listed,) if isinstance(listed, str) else listed
        missing = [name for name in names if name not in there]
        if missing:
            settled.append(
                _settled(f"unique: {', '.join(names)}", "", "error", f"no column {', '.join(missing)}", "these columns")
            )
        else:
            unique.append(Unique(columns=names))
    unique = list({each.columns: each for each in reversed(unique)}.values())[::-1]
    return Compiled(settled=tuple(settled), checks=tuple(checks), unique=tuple(unique))


def missing_sql(name: str, type_: str) -> str:
    """SQL that is true where a column has no value; NaN is none."""
    column = identifier(name)
    return f"({column} IS NULL OR isnan({column}))" if _base(type_) in _FLOATS else f"({column} IS NULL)"


def is_time(type_: str) -> bool:
    return _base(type_) in _TIMES | {"DATE"}


def _table_level(contract: Contract, there: dict[str, Column]) -> Iterator[Finding]:
    if contract.forbidden:
        found = [name for name in contract.forbidden if name in there]
        yield _settled(
            "forbidden columns", "", "error", ", ".join(found), f"none of {', '.join(contract.forbidden)}",
            passed=not found, failed=len(found), total=len(contract.forbidden),
        )  # fmt: skip
    if not contract.extra_columns:
        asked = {name for group in contract.unique for name in ([group] if isinstance(group, str) else group)}
        named = {*contract.columns, *contract.forbidden, *asked}
        if contract.fresh:
            named.add(contract.fresh.column)
        extra = [name for name in there if name not in named]
        yield _settled(
            "extra columns", "", "error", ", ".join(extra), "only columns that the contract names",
            passed=not extra, failed=len(extra), total=len(there),
        )  # fmt: skip


class _Compiler:
    """The rules of one column."""

    def __init__(self, name: str, type_: str, rule: ColumnContract, kind: str, first: int) -> None:
        self.name = name
        self.type = type_
        self.rule = rule
        self.sql = identifier(name)
        self.from_text = kind == "csv" and type_ == "VARCHAR"
        self._prefix = f"p{first}"

    def type_rule(self) -> tuple[Finding | None, list[Check]]:
        """What the column's type settles, or what each row is asked instead."""
        wanted = self.rule.type
        if wanted is None or self.type == _NOTHING:
            return None, []
        label = f"{self.name}: type"
        passes, asks = self._type_table()[wanted]
        if self.type in passes:
            return _settled(label, self.name, self.rule.level, self.type, wanted, passed=True), []
        broken = (
            asks.get("VARCHAR", "") if self.from_text else asks.get(self.type, "") if self.type != "VARCHAR" else ""
        )
        if broken:
            check = self._check("type", f"{self.sql} IS NOT NULL AND {broken}", f"every value {_article(wanted)}")
            return None, [check]
        return _settled(label, self.name, self.rule.level, f"the column is {self.type}", wanted), []

    def _type_table(self) -> dict[str, tuple[set[str], dict[str, str]]]:
        """Type in the contract -> DuckDB types that are it, and what others' values must not be."""
        c = self.sql
        no_time = f"{c} <> date_trunc('day', {c})"
        fraction = f"NOT isnan({c}::DOUBLE) AND {c} <> trunc({c})"
        no_timestamp = f"try_cast({c} AS TIMESTAMP) IS NULL AND try_cast({c} AS TIMESTAMPTZ) IS NULL"
        return {
            "integer": (
                _INTEGERS,
                {
                    "VARCHAR": f"NOT regexp_full_match(trim({c}), '[+-]?[0-9]+')",
                    **dict.fromkeys(_FLOATS | {"DECIMAL"}, fraction),
                },
            ),
            "number": (_NUMBERS, {"VARCHAR": f"try_cast({c} AS DOUBLE) IS NULL"}),
            "string": (_STRINGS, {}),
            "boolean": (
                {"BOOLEAN"},
                {
                    "VARCHAR": f"lower({c}) NOT IN ('true', 'false')",
                    **dict.fromkeys(_INTEGERS, f"{c} NOT IN (0, 1)"),
                },
            ),
            "date": ({"DATE"}, {"VARCHAR": f"try_cast({c} AS DATE) IS NULL", **dict.fromkeys(_TIMES, no_time)}),
            "datetime": (_TIMES | {"DATE"}, {"VARCHAR": no_timestamp}),
        }

    def null_rule(self) -> list[Check]:
        share = self.rule.max_null
        if share >= 1:
            return []
        allowed = "no missing value" if share == 0 else f"at most {share:.2%} missing"
        return [self._check("missing values", missing_sql(self.name, self.type), allowed, share_max=share)]

    def value_rules(self) -> list[Check]:
        checks = []
        if self.rule.min is not None or self.rule.max is not None:
            checks.append(self._range())
        if self.rule.values is not None:
            checks.append(self._values())
        if self.rule.pattern is not None:
            param = f"{self._prefix}pattern"
            broken = f"{self._present()} AND NOT regexp_full_match({self.sql}::VARCHAR, ${param})"
            allowed = f"the whole value fits {self.rule.pattern}"
            checks.append(self._check("pattern", broken, allowed, params={param: self.rule.pattern}))
        return checks

    def _range(self) -> Check:
        value, cast = self._comparable()
        parts, params, words = [], {}, []
        for name, bound, operator, word in (
            ("min", self.rule.min, "<", "at least"),
            ("max", self.rule.max, ">", "at most"),
        ):
            if bound is not None:
                param = f"{self._prefix}{name}"
                params[param] = bound
                parts.append(f"{value} {operator} {cast.format('$' + param)}")
                words.append(f"{word} {bound}")
        broken = f"{self._present()} AND ({' OR '.join(parts)})"
        kept = f"CASE WHEN {self._present()} THEN {value} END"
        measure = f"min({kept})::VARCHAR || ' to ' || max({kept})::VARCHAR"
        return self._check("range", broken, " and ".join(words), params=params, measure=measure)

    def _comparable(self) -> tuple[str, str]:
        """The column as its bounds can be compared with it, and how the bounds are cast."""
        bounds = [bound for bound in (self.rule.min, self.rule.max) if bound is not None]
        numeric = all(isinstance(bound, int | float) and not isinstance(bound, bool) for bound in bounds)
        textual = all(isinstance(bound, str) for bound in bounds)
        if self.type in _NUMBERS and numeric:
            return self.sql, "{}"
        if is_time(self.type) and textual:
            return self.sql, "CAST({} AS TIMESTAMPTZ)" if "ZONE" in self.type else "CAST({} AS TIMESTAMP)"
        if self.from_text and numeric:
            return f"try_cast({self.sql} AS DOUBLE)", "{}"
        if self.from_text and self.rule.type in {"date", "datetime"} and textual:
            return f"try_cast({self.sql} AS TIMESTAMP)", "CAST({} AS TIMESTAMP)"
        if self.type in _STRINGS and textual:
            return f"{self.sql}::VARCHAR", "{}"
        shown = " and ".join(repr(bound) for bound in bounds)
        raise invalid(
            f"the contract bounds column {self.name!r} by {shown}, and the column is {self.type}",
            where=f"columns.{self.name}",
            fix="numbers bound numbers; a date or time is bounded by a string such as '2024-01-01'",
        )

    def _values(self) -> Check:
        values = list(self.rule.values or ())
        param = f"{self._prefix}values"
        numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
        if self.type in _NUMBERS and numeric:
            broken = f"NOT list_contains(${param}::DOUBLE[], {self.sql}::DOUBLE)"
            given: list[Any] = [float(value) for value in values]
        else:
            broken = f"NOT list_contains(${param}::VARCHAR[], {self.sql}::VARCHAR)"
            given = [str(v).lower() if isinstance(v, bool) else str(v) for v in values]
        shown = ", ".join(repr(value) for value in values[:_SHOWN_VALUES])
        more = f" and {len(values) - _SHOWN_VALUES} more" if len(values) > _SHOWN_VALUES else ""
        allowed = f"one of {shown}{more}"
        return self._check("allowed values", f"{self._present()} AND {broken}", allowed, params={param: given})

    def _present(self) -> str:
        return f"NOT {missing_sql(self.name, self.type)}"

    def _check(
        self, what: str, broken: str, allowed: str, *, share_max: float = 0.0, params: dict[str, Any] | None = None,
        measure: str = "",
    ) -> Check:  # fmt: skip
        return Check(
            rule=f"{self.name}: {what}",
            column=self.name,
            level=self.rule.level,
            broken=broken,
            allowed=allowed,
            share_max=share_max,
            params=params or {},
            measure=measure,
        )


def _base(type_: str) -> str:
    return type_.partition("(")[0]


def _article(wanted: str) -> str:
    return f"an {wanted}" if wanted == "integer" else f"a {wanted}"


def _settled(
    rule: str, column: str, level: str, measured: str, allowed: str, *, passed: bool = False, failed: int = 1,
    total: int = 1,
) -> Finding:  # fmt: skip
    return Finding(
        rule=rule,
        column=column,
        level=level,
        passed=passed,
        failed=0 if passed else failed,
        total=total,
        measured=measured,
        allowed=allowed,
    )
