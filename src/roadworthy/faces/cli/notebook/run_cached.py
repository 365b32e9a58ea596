"""`rw notebook run --cached`: loaded only for those who ask for it, for its keys need the whole dataflow."""

import click

from roadworthy.faces.cli import output
from roadworthy.faces.cli.notebook.run_shown import title
from roadworthy.notebooks.execute import parameters, tracked
from roadworthy.notebooks.execute.cached import drive
from roadworthy.notebooks.notebook import Notebook
from roadworthy.store.store import Store

way = drive.in_kernel
_WORDS = {"run": "would run", "perhaps": "perhaps", "reuse": "reused"}


def explain(store: Store, notebook: Notebook, options: tracked.Options, *, as_json: bool) -> None:
    """Say for each cell what would be done, and why."""
    prepared = parameters.prepare(notebook, options.settings)
    path = notebook.path.resolve()
    name = path.relative_to(options.root).as_posix() if path.is_relative_to(options.root) else path.name
    root = (options.cwd or path.parent).resolve()
    codes, made = drive.make(store, root, options.project, prepared.notebook, name)
    decisions = [made.decisions[code.index] for code in codes]
    if as_json:
        output.print_json({"cells": [{"cell": d.index + 1, "action": d.action, "why": d.why} for d in decisions]})
        return
    rows = [(d.index + 1, title(notebook.cells[d.index]), _WORDS[d.action], d.why) for d in decisions]
    output.table(["cell", "", "", "why"], rows)
    count = sum(d.action == "run" for d in decisions)
    perhaps = sum(d.action == "perhaps" for d in decisions)
    click.echo(f"{count} of {len(decisions)} cells would run" + (f", perhaps {perhaps} more" if perhaps else ""))
