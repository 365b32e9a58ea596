"""A run as it is shown: live on a terminal, line by line when piped, and a table at its end."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from roadworthy.faces.cli import output
from roadworthy.nouns.errors import Fault
from roadworthy.nouns.project import Place
from roadworthy.nouns.run import Run
from roadworthy.nouns.step import StepRun
from roadworthy.pipelines import runner
from roadworthy.pipelines.happening import Happening, Watch
from roadworthy.registry import forward
from roadworthy.store.store import Store

EXIT_STEP_FAILED = 1
METRICS_SHOWN = 8


def run(store: Store, place: Place, options: runner.RunOptions, *, as_json: bool) -> Any:
    """Run, show, register; the exit code."""
    nothing: list[str] = []

    def note(happening: Happening) -> None:
        if happening.kind == "nothing":
            nothing.append(happening.text)

    with _shown() as show:

        def watch(happening: Happening) -> None:
            note(happening)
            show(happening)

        try:
            made = runner.run(store, place, options=options, watch=watch)
        except Fault as fault:
            if "findings" in fault.detail and not as_json:
                _contract(fault.detail["findings"])
            if fault.detail.get("traceback") and not as_json:
                output.say(str(fault.detail["traceback"]).rstrip())
            raise
    model = _registered(store, place, made)
    # With the measures that registration took.
    for problem in forward.send_all(store, place.project.project.tracking, place.project.name):
        output.say(f"note: {problem}")
    if as_json:
        output.print_json({"run": made, "model": model, "nothing_to_do": bool(nothing)})
    elif nothing:
        click.echo(nothing[0])
    else:
        _summary(store, made, model)
    return EXIT_STEP_FAILED if made.status == "failed" else 0


def _registered(store: Store, place: Place, made: Run) -> str | None:
    spec = place.project.model
    if spec is None or made.status != "finished":
        return None
    done = {step.step for step in made.steps if step.output is not None}
    if not {spec.step, spec.holdout} <= done:
        return None
    # What registration measures with is loaded only where there is a model.
    from roadworthy.pipelines import registration

    return registration.register(store, place, made).id


def _summary(store: Store, made: Run, model: str | None) -> None:
    for step in made.steps:
        if step.status == "failed":
            output.say(f"\n{click.style(step.step, bold=True)} failed:\n{step.error}\n")
    rows = [
        (s.step, s.status, "" if s.status in {"reused", "skipped"} else f"{s.wall_s:.2f} s", _cost(s), s.why)
        for s in made.steps
    ]
    output.table(["step", "", "wall", "cpu, memory", "why"], rows)
    from roadworthy.registry import metrics

    measured = metrics.latest(store, made.id)
    if measured:
        shown = [f"{name} {value:.4g}" for name, value in list(measured.items())[:METRICS_SHOWN]]
        click.echo(f"metrics: {', '.join(shown)}{', …' if len(measured) > METRICS_SHOWN else ''}")
    if model:
        click.echo(f"model: {model}")
    took = (made.ended_at or made.started_at) - made.started_at
    click.echo(f"run {made.id[:12]} {made.status} in {took:.1f} s (rw runs show {made.id[:12]})")


def _cost(step: StepRun) -> str:
    if step.status not in {"ran", "failed"}:
        return ""
    return f"{step.cpu_s:.2f} s, {step.memory_peak_mb:.0f} MiB"


def _contract(findings: list[dict[str, Any]]) -> None:
    """The rules that do not hold with what was found, and rows that broke them."""
    held = sum(f["passed"] for f in findings)
    rows = [
        (f["data"], f["rule"], f["level"], f"{f['failed']:,} of {f['total']:,}", f["measured"], f["allowed"])
        for f in findings
        if not f["passed"]
    ]
    output.table(["data", "rule", "", "broken by", "found", "allowed"], rows)
    click.echo(f"{held} other rules hold")
    for finding in findings:
        if not finding["passed"] and finding["examples"]:
            click.echo(f"rows that break `{finding['rule']}` of {finding['data']}:")
            for example in finding["examples"]:
                click.echo(f"  {example}")


@contextmanager
def _shown() -> Iterator[Watch]:
    """Who is told what happens: a live view on a terminal, plain lines when piped."""
    if not sys.stderr.isatty():
        yield _line
        return
    from rich.console import Console
    from rich.live import Live
    from rich.spinner import Spinner
    from rich.table import Table

    console = Console(stderr=True)
    under_way: dict[str, str] = {}

    def view() -> Table:
        drawn = Table.grid(padding=(0, 1))
        for step, text in under_way.items():
            drawn.add_row(Spinner("dots"), step, text)
        return drawn

    with Live(view(), console=console, transient=True, refresh_per_second=8) as live:

        def watch(happening: Happening) -> None:
            if happening.kind in {"running", "asking", "retrying"}:
                under_way[happening.step] = happening.text.partition(": ")[2]
            else:
                under_way.pop(happening.step, None)
                if happening.kind != "nothing":
                    console.print(happening.text, markup=False, highlight=False)
            live.update(view())

        yield watch


def _line(happening: Happening) -> None:
    if happening.kind != "nothing":
        output.say(happening.text)
