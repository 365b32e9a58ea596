"""`rw notebook check`: find what keeps notebooks from production."""

import time
from pathlib import Path
from typing import Any

import click

from roadworthy.faces.cli import output
from roadworthy.faces.cli.notebook import check_shown
from roadworthy.notebooks import check as checks
from roadworthy.notebooks.fix import fix as fix_file
from roadworthy.notebooks.rules.rule import NotebookRule
from roadworthy.notebooks.rules.subject import Surroundings
from roadworthy.nouns.errors import EXIT_CODES, Code
from roadworthy.nouns.project import Place
from roadworthy.store import project_file


@click.command()
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option("--select", multiple=True, metavar="RULE", help="Only these rules: a code, its beginning, or a name.")
@click.option("--ignore", multiple=True, metavar="RULE", help="Not these rules, in the same way.")
@click.option("--fix", is_flag=True, help="Fix what can be fixed safely; nothing else in the file changes.")
@click.option(
    "--format", "form", type=click.Choice(["text", "json", "sarif", "github"]), default="text", help="How to report."
)
@click.option("--rules", "list_rules", is_flag=True, help="List the rules, and check nothing.")
@output.json_option
@click.pass_context
def command(ctx: click.Context, /, paths: tuple[Path, ...], form: str, *, as_json: bool, **options: Any) -> None:
    r"""Find what keeps notebooks from production: in PATHS, or below the current folder.

    Reads .ipynb, percent and marimo scripts, and Databricks' exported sources. Ends with 5 when something is worse than
    a note. `# rw: ignore[CODE]` on a line declines a finding, alone at the top of a cell those of the cell;
    `# rw: ignore-file[CODE]` those of the notebook. `[notebook]` in roadworthy.toml turns rules on and off.

    \b
    Examples:
      rw notebook check train.ipynb
      rw notebook check notebooks/ --select RWN5        seeds and leakage
      rw notebook check . --ignore late-import --fix
      rw notebook check . --format sarif > findings.sarif
    """
    place = _place(paths)
    rules = checks.rules_of(place, _words(options["select"]), _words(options["ignore"]))
    form = "json" if as_json else form
    if options["list_rules"]:
        check_shown.rules(rules, as_json=form == "json")
        return
    started = time.monotonic()
    exclude = place.project.notebook.exclude if place is not None else ()
    named = checks.found_in(paths or (Path(),), exclude, place.root if place is not None else None)
    start = named[0].parent if len(named) == 1 else paths[0] if paths and paths[0].is_dir() else Path()
    around = checks.surroundings(start, place)
    fixed = 0
    if options["fix"]:
        fixed = _fix(named, rules, around)
    checked = list(checks.check_all(named, rules, around))
    if len(checked) == 1 and checked[0].problem is not None and form in {"text", "json"}:
        raise checked[0].problem
    check_shown.show(checked, rules, form, took_s=time.monotonic() - started, fixed=fixed)
    if any(each.problem is not None for each in checked):
        ctx.exit(EXIT_CODES[Code.INVALID])
    if any(each.failed for each in checked):
        ctx.exit(EXIT_CODES[Code.REFUSED])


def _place(paths: tuple[Path, ...]) -> Place | None:
    """The project around the current folder, else the one around the first path."""
    found = project_file.find(Path.cwd())
    if found is None and paths:
        first = paths[0].resolve()
        found = project_file.find(first if first.is_dir() else first.parent)
    return project_file.read(found) if found is not None else None


def _fix(paths: list[Path], rules: tuple[NotebookRule, ...], around: Surroundings) -> int:
    """Fix the notebooks that have something to fix; how many findings that took away."""
    count = 0
    for each in list(checks.check_all(paths, rules, around)):
        if each.notebook is not None and any(finding.edit is not None for finding in each.findings):
            count += fix_file(each.notebook, lambda notebook: checks.check(notebook, rules, around)).fixed
    return count


def _words(given: tuple[str, ...]) -> tuple[str, ...]:
    """Rules may be parted by commas too."""
    return tuple(word.strip() for each in given for word in each.split(",") if word.strip())
