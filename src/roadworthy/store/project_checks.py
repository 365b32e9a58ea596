"""What no single type can say about a project file: keys that exclude or need each other, and impossible values.

In: a project that has the right types, and the table it came from. Out: problems. Called by store/project_file.py.
"""

import datetime as dt
import math
import re
from collections.abc import Iterator
from typing import Any

from roadworthy.nouns.project import Canary, ColumnContract, Contract, Data, Project, seconds, share
from roadworthy.store.diagnosis import Path, Problem, nearest


def problems(project: Project, table: dict[str, Any]) -> list[Problem]:
    """Every such mistake."""
    found: list[Problem] = []
    for name, data in project.data.items():
        found += _data(name, data)
        if name in project.params:
            found.append(
                Problem(
                    path=("params", name),
                    what=f"a data set is called {name} too, and steps take both by that name",
                    fix="rename one of them",
                    on_key=True,
                )
            )
    found += _finite(project.params, ("params",))
    found += _model(project)
    found += _releases(project, table)
    for name, monitor in project.monitor.items():
        found += _positive(("monitor", name, "window"), monitor.window)
        if monitor.webhook is not None and not re.match(r"https?://[^/\s]+", monitor.webhook):
            found.append(
                Problem(
                    path=("monitor", name, "webhook"), what="not a web address", fix="allowed: https://… or http://…"
                )
            )
    return found


def _data(name: str, data: Data) -> Iterator[Problem]:
    path = ("data", name)
    if (data.path is None) == (data.python is None):
        what = "neither `path` nor `python` is given" if data.path is None else "both `path` and `python` are given"
        yield Problem(path=path, what=what, fix='give one: path = "data/*.csv", or python = "module:function"')
    if data.path is not None and not data.path.strip():
        yield Problem(path=(*path, "path"), what="the path is empty", fix="give a file, a folder or a glob")
    if data.contract is not None:
        yield from _contract((*path, "contract"), data.contract)


def _contract(path: Path, contract: Contract) -> Iterator[Problem]:
    for name, column in contract.columns.items():
        at = (*path, "columns", name)
        yield from _column(at, column)
        if name in contract.forbidden:
            place = contract.forbidden.index(name)
            yield Problem(path=(*path, "forbidden", place), what=f"the column {name} is described under `columns` too")
    if contract.rows is not None and contract.rows.min is not None and contract.rows.max is not None:
        yield from _order((*path, "rows", "max"), contract.rows.min, contract.rows.max)
    if contract.fresh is not None:
        yield from _positive((*path, "fresh", "max_age"), contract.fresh.max_age)


def _column(path: Path, column: ColumnContract) -> Iterator[Problem]:
    if column.pattern is not None:
        try:
            re.compile(column.pattern)
        except re.error as problem:
            yield Problem(path=(*path, "pattern"), what=f"not a regular expression: {problem}")
    for key in ("min", "max"):
        limit = getattr(column, key)
        if limit is not None and not _fits(limit, column.type):
            yield Problem(
                path=(*path, key),
                what=f"a column of type {column.type} has no limit {limit!r}",
                fix=_LIMITS[column.type],
            )
    if column.min is not None and column.max is not None and isinstance(column.min, str) == isinstance(column.max, str):
        yield from _order((*path, "max"), column.min, column.max)
    if column.values is not None and not column.values:
        yield Problem(path=(*path, "values"), what="no value is allowed", fix="name the values, or leave the key out")


_LIMITS: dict[str | None, str] = {
    "integer": "allowed: a number",
    "number": "allowed: a number",
    "string": "allowed: a string",
    "boolean": "a boolean has no limits",
    "date": 'allowed: a string such as "2013-01-31"',
    "datetime": 'allowed: a string such as "2013-01-31T08:00:00"',
}


def _fits(limit: float | str, kind: str | None) -> bool:
    if kind is None:
        return True
    if kind in {"integer", "number"}:
        return not isinstance(limit, str) and math.isfinite(limit)
    if kind in {"date", "datetime"}:
        try:
            dt.datetime.fromisoformat(limit if isinstance(limit, str) else "")
        except ValueError:
            return False
        return True
    return kind == "string" and isinstance(limit, str)


def _model(project: Project) -> Iterator[Problem]:
    model = project.model
    if model is None:
        return
    for place, name in enumerate(model.features):
        path = ("model", "features", place)
        if name == model.label:
            yield Problem(path=path, what="the label is among the features", fix="the model would be told the answer")
        if name in model.features[:place]:
            yield Problem(path=path, what=f"the feature {name} is named twice")


def _releases(project: Project, table: dict[str, Any]) -> Iterator[Problem]:
    ports: dict[int, str] = {}
    for name, target in project.release.items():
        if target.port in ports:
            yield Problem(
                path=("release", name, "port"),
                what=f"the target {ports[target.port]} has the port {target.port} already",
                fix="give each target its own",
            )
        ports[target.port] = name
        yield from _canary(("release", name, "canary"), target.canary)
    operate = project.operate
    # The default names `local`, which a project without [operate] need not have.
    if "operate" in table and operate.target not in project.release:
        there = list(project.release)
        near = nearest(operate.target, there)
        hint = f"did you mean {near}? " if near else ""
        yield Problem(
            path=("operate", "target"),
            what=f"there is no target {operate.target}",
            fix=f"{hint}add [release.{operate.target}]" + (f", or name one of: {', '.join(there)}" if there else ""),
        )
    yield from _positive(("operate", "every"), operate.every)


def _canary(path: Path, canary: Canary) -> Iterator[Problem]:
    yield from _positive((*path, "patience"), canary.patience)
    before = 0.0
    for place, percent in enumerate(canary.shares):
        if share(percent) <= before:
            yield Problem(
                path=(*path, "shares", place),
                what=f"{percent} is not more than the share before",
                fix='shares grow: ["10%", "50%"]; all traffic follows by itself',
            )
        before = share(percent)


def _order(path: Path, low: Any, high: Any) -> Iterator[Problem]:
    if low > high:
        yield Problem(path=path, what=f"max ({high}) is less than min ({low})", fix="nothing would pass")


def _positive(path: Path, duration: str) -> Iterator[Problem]:
    if seconds(duration) <= 0:
        yield Problem(path=path, what=f"{duration} is no time at all", fix="give more than 0")


def _finite(value: Any, path: Path) -> Iterator[Problem]:
    """Parameters are recorded as JSON, which knows neither NaN nor infinity."""
    if isinstance(value, float) and not math.isfinite(value):
        yield Problem(path=path, what=f"{value} is no number that can be recorded", fix="give a finite one")
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _finite(item, (*path, key))
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from _finite(item, (*path, place))
