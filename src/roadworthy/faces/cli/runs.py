"""`rw runs`: list, show and compare runs."""

import math
from typing import Any

import click
import msgspec

from roadworthy.faces.cli import output
from roadworthy.faces.cli.output import cell, json_option
from roadworthy.faces.cli.place import open_around
from roadworthy.nouns.run import Run
from roadworthy.registry import artifacts, compare, metrics, models, runs
from roadworthy.store.store import Store

METRICS_SHOWN = 4
ID_SHOWN = 12
STATUSES = ["running", "finished", "failed", "killed"]


@click.group(name="runs", invoke_without_command=True)
@click.option("--status", type=click.Choice(STATUSES), default=None, help="Only runs in this state.")
@click.option("--group", default="", help="Only runs of this group.")
@click.option("--all", "everywhere", is_flag=True, help="Runs of every project in the store.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=20, show_default=True, help="How many at most.")
@json_option
@click.pass_context
def command(ctx: click.Context, *, status: str | None, group: str, everywhere: bool, limit: int, as_json: bool) -> None:
    r"""List runs, the newest first; show one; compare two.

    \b
    Examples:
      rw runs --status failed --limit 5
      rw runs show latest
      rw runs show 3f2a
      rw runs compare 3f2a 77b0
      rw runs --json | jq '.[0].metrics'
    """
    if ctx.invoked_subcommand is not None:
        return
    store, project = open_around()
    found = runs.listing(store, project="" if everywhere else project, group=group, status=status or "", limit=limit)
    values = {run.id: metrics.latest(store, run.id) for run in found}
    if as_json:
        output.print_json([{**msgspec.to_builtins(_public(run)), "metrics": values[run.id]} for run in found])
        return
    if not found:
        output.say("no runs" + (" like that" if status or group else " yet: rw run"))
        return
    output.table(
        ["run", "status", "started", "took", "name", "metrics"],
        [
            [
                run.id[:ID_SHOWN],
                run.status,
                output.when(run.started_at),
                _took(run),
                run.name or run.group,
                _few(values[run.id]),
            ]
            for run in found
        ],
    )


@command.command()
@click.argument("run", default=runs.LATEST)
@json_option
def show(run: str, *, as_json: bool) -> None:
    """Show RUN: an id, a unique beginning of one, or `latest`."""
    store, project = open_around()
    found = runs.get(store, run, project if run == runs.LATEST else "")
    if as_json:
        output.print_json(_whole(store, found))
    else:
        _show(store, found)


@command.command(name="compare")
@click.argument("a")
@click.argument("b", default=runs.LATEST)
@click.option("--no-diff", is_flag=True, help="Name the source files that differ, without how.")
@json_option
def compare_two(a: str, b: str, *, no_diff: bool, as_json: bool) -> None:
    """Compare run A with run B (the latest unless named): parameters, metrics, data, code, packages, steps."""
    store, project = open_around()
    first, second = (runs.get(store, ref, project if ref == runs.LATEST else "") for ref in (a, b))
    found = compare.compare(store, first, second)
    if as_json:
        output.print_json(found)
        return
    click.echo(f"a  {_title(first)}\nb  {_title(second)}")
    _show_outcome(found)
    _show_inputs(found, with_diff=not no_diff)


def _show(store: Store, run: Run) -> None:
    output.pairs(
        [
            ("run", run.id),
            ("name", run.name),
            ("project", run.project),
            ("group", run.group),
            ("status", run.status),
            ("started", output.when(run.started_at)),
            ("took", _took(run)),
            ("by", run.actor),
            ("command", run.command),
            ("reproduces", run.reproduces),
            ("seed", run.seed),
            ("code", _code(run)),
            ("python", f"{run.environment.python} on {run.environment.platform}" if run.environment.python else ""),
            ("packages", f"{len(run.environment.packages)} (lock {run.environment.lock[:ID_SHOWN]})"),
        ]
    )
    _part("parameters", ["parameter", "value"], [[k, v] for k, v in run.params.items()])
    _part("data", ["data set", "snapshot"], [[k, v[:ID_SHOWN]] for k, v in run.snapshots.items()])
    _part(
        "steps",
        ["step", "status", "took", "cpu", "memory", "why"],
        [
            [
                s.step,
                s.status,
                output.duration(s.wall_s),
                output.duration(s.cpu_s),
                f"{s.memory_peak_mb:.0f} MiB" if s.memory_peak_mb else "-",
                s.why,
            ]
            for s in run.steps
        ],
    )
    _part("metrics", ["metric", "value"], [[k, _exact(v)] for k, v in metrics.latest(store, run.id).items()])
    kept = artifacts.listing(store, run.id)
    _part("artifacts", ["path", "size"], [[a.path, output.size(a.size)] for a in kept])
    _part("models", ["model"], [[m.id] for m in models.of_run(store, run.id)])
    _part("tags", ["tag", "value"], [[k, v] for k, v in _public(run).tags.items()])
    if run.error:
        output.heading("error")
        click.echo(output.clean(run.error.rstrip()))


def _show_outcome(found: compare.Difference) -> None:
    _part("about", ["", "a", "b"], [[p.name, p.a, p.b] for p in found.about])
    _part(
        "metrics",
        ["metric", "a", "b", "b - a"],
        [
            [m.name, _exact(m.a), _exact(m.b), "-" if m.difference is None else f"{m.difference:+.6g}"]
            for m in found.metrics
        ],
    )
    _part(
        "steps",
        ["step", "a", "b", "took a", "took b", "output"],
        [
            [
                s.name,
                s.status_a,
                s.status_b,
                output.duration(s.wall_s_a),
                output.duration(s.wall_s_b),
                {True: "same", False: "different", None: "-"}[s.same_output],
            ]
            for s in found.steps
        ],
    )


def _show_inputs(found: compare.Difference, *, with_diff: bool) -> None:
    _part("parameters that differ", ["parameter", "a", "b"], [[p.name, p.a, p.b] for p in found.params])
    _part(
        "data that differs",
        ["data set", "a", "b", "rows a", "rows b"],
        [[d.name, (d.a or "-")[:ID_SHOWN], (d.b or "-")[:ID_SHOWN], d.rows_a, d.rows_b] for d in found.data],
    )
    _part("environment that differs", ["", "a", "b"], [[p.name, p.a, p.b] for p in found.environment])
    _part("packages that differ", ["package", "a", "b"], [[p.name, p.a, p.b] for p in found.packages])
    if found.commits is not None:
        _part("commits", ["a", "b"], [[found.commits.a, found.commits.b]])
    if found.files is None:
        output.heading("code that differs")
        click.echo("the source files of one of the runs are not kept")
    else:
        _part("code that differs", ["file", ""], [[f.path, f.status] for f in found.files])
        for file in found.files if with_diff else ():
            if file.diff:
                click.echo("\n" + _coloured(output.clean(file.diff)))
    same = [
        name
        for name, differs in [
            ("parameters", found.params),
            ("data", found.data),
            ("environment", (*found.environment, *found.packages)),
            ("code", not found.same_code),
        ]
        if not differs
    ]
    if same:
        click.echo(f"\nthe same: {', '.join(same)}")


def _part(title: str, headers: list[str], rows: list[list[Any]]) -> None:
    if rows:
        output.heading(title)
        output.table(headers, rows)


def _coloured(diff: str) -> str:
    colours = {"+": "green", "-": "red", "@": "cyan"}
    return "\n".join(
        output.styled(line, fg=colours[line[0]]) if line[:1] in colours else line for line in diff.split("\n")
    )


def _whole(store: Store, run: Run) -> dict[str, Any]:
    return {
        **msgspec.to_builtins(_public(run)),
        "metrics": metrics.latest(store, run.id),
        "artifacts": artifacts.listing(store, run.id),
        "models": [m.id for m in models.of_run(store, run.id)],
    }


def _public(run: Run) -> Run:
    """Without the mark of its process, which is ours."""
    return msgspec.structs.replace(run, tags={k: v for k, v in run.tags.items() if k != runs.PROCESS_TAG})


def _title(run: Run) -> str:
    return f"{run.id[:ID_SHOWN]}  {output.when(run.started_at)}  {run.status}  {cell(run.name)}".rstrip(" -")


def _took(run: Run) -> str:
    return "-" if run.ended_at is None else output.duration(run.ended_at - run.started_at)


def _code(run: Run) -> str:
    code = run.code
    commit = f" (commit {code.commit[:ID_SHOWN]}{', with changes' if code.dirty else ''})" if code.commit else ""
    return f"{code.digest[:ID_SHOWN]}{commit}" if code.digest else ""


def _few(values: dict[str, float]) -> str:
    shown = [f"{key} {value:.4g}" for key, value in list(values.items())[:METRICS_SHOWN]]
    return ", ".join(shown) + (f", +{len(values) - METRICS_SHOWN}" if len(values) > METRICS_SHOWN else "")


def _exact(value: float | None) -> str:
    return "-" if value is None else "nan" if math.isnan(value) else f"{value:.6g}"
