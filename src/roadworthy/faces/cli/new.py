"""`rw new`: start a project that runs at once.

A template is a folder of files that end in `.tmpl`; `{{name}}` in them becomes the project's name, and a leading
`dot-` of a file's name a dot. Ours are in `templates/`; an installed package adds one with an entry point in the group
`roadworthy.templates` that names a package or a function returning a folder.
"""

import sys
from importlib import metadata, resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import click

from roadworthy.faces.cli import output
from roadworthy.faces.cli.notebook import convert
from roadworthy.faces.cli.output import json_option
from roadworthy.faces.cli.project_name import check_name
from roadworthy.nouns.errors import conflict, not_found, unavailable
from roadworthy.store.diagnosis import nearest

ENTRY_POINTS = "roadworthy.templates"
ENDING = ".tmpl"
DEPTH_MAX = 10


@click.command(name="new")
@click.argument("name", required=False, default="")
@click.option("--template", default="tabular", show_default=True, help="What to start from.")
@click.option("--dir", "folder", type=click.Path(path_type=Path), help="Where; a new folder called NAME unless given.")
@click.option("--force", is_flag=True, help="Overwrite files that are there, without asking.")
@click.option(
    "--from-notebook",
    "notebook",
    type=click.Path(path_type=Path),
    metavar="NOTEBOOK",
    help="Make the project of a notebook, and prove that it does the same.",
)
@convert.shared
@json_option
def command(
    name: str, *, template: str, folder: Path | None, force: bool, notebook: Path | None, as_json: bool, **chosen: Any
) -> int:
    r"""Start a project called NAME that runs at once.

    \b
    Examples:
      rw new churn && cd churn && rw run
      rw new churn --dir .           in the current folder
      rw new --from-notebook train.ipynb && cd train && rw run && rw gate
    """
    if notebook is not None:
        return _from_notebook(name, notebook, folder, force=force, as_json=as_json, **chosen)
    if not name:
        raise click.UsageError("Missing argument 'NAME'.")
    check_name(name)
    target = (folder or Path(name)).absolute()
    if target.exists() and not target.is_dir():
        raise conflict("there is a file of that name", where=str(target), fix="name another folder: --dir FOLDER")
    files = render(find(template), name)
    there = [path for path in files if (target / path).exists() or (target / path).is_symlink()]
    if there and not force:
        _ask(target, there, as_json=as_json)
    _write(target, files)
    shown = Path(name) if folder is None else folder
    if as_json:
        output.print_json({"name": name, "folder": str(target), "template": template, "files": sorted(files)})
        return 0
    click.echo(f"{name}: {len(files)} files in {shown}/")
    for path in sorted(files):
        click.echo(f"  {path}")
    go = "" if target == Path.cwd() else f"cd {shown} && "
    click.echo(f"\nNext: {go}rw run && rw gate && rw release")
    return 0


def _from_notebook(
    name: str, notebook: Path, folder: Path | None, *, force: bool, as_json: bool, no_proof: bool, cell_timeout: float,
    tolerance: float,
) -> int:  # fmt: skip
    from roadworthy.notebooks import conversion

    if name:
        check_name(name)
    options = conversion.Options(
        name=name, target=folder, force=force, proof=not no_proof, cell_s_max=cell_timeout, tolerance=tolerance
    )  # fmt: skip
    converted = conversion.convert(notebook, options, tell=convert.say(as_json=as_json))
    return convert.show(converted, shown=folder, as_json=as_json)


def find(template: str) -> Traversable:
    """The folder of a template: one of ours, or an installed package's.

    Raises:
        Fault: not found, naming those there are.
    """
    ours = resources.files("roadworthy.faces.cli") / "templates"
    known = {folder.name: folder for folder in ours.iterdir() if folder.is_dir()}
    if template in known:
        return known[template]
    others = {entry.name: entry for entry in metadata.entry_points(group=ENTRY_POINTS)}
    if template not in others:
        names = sorted({*known, *others})
        near = nearest(template, names)
        hint = f"did you mean {near}? " if near else ""
        raise not_found("no such template", where=template[:80], fix=f"{hint}there are: {', '.join(names)}")
    try:
        named = others[template].load()
        folder = named() if callable(named) else resources.files(named)
        if isinstance(folder, str):
            folder = Path(folder)
        assert folder.is_dir()
    except Exception as problem:
        distribution = others[template].dist
        raise unavailable(
            f"the template cannot be loaded: {type(problem).__name__}: {problem}",
            where=distribution.name if distribution else others[template].value,
        ) from problem
    found: Traversable = folder
    return found


def render(folder: Traversable, name: str) -> dict[str, bytes]:
    """Relative path to content of the files a template makes."""
    found: dict[str, bytes] = {}
    _gather(folder, "", found, DEPTH_MAX)
    return {path: content.replace(b"{{name}}", name.encode()) for path, content in found.items()}


def _gather(folder: Traversable, prefix: str, found: dict[str, bytes], depth: int) -> None:
    for entry in folder.iterdir():
        if entry.is_dir() and depth:
            _gather(entry, f"{prefix}{entry.name}/", found, depth - 1)
        elif entry.name.endswith(ENDING):
            plain = entry.name.removesuffix(ENDING)
            plain = f".{plain.removeprefix('dot-')}" if plain.startswith("dot-") else plain
            found[prefix + plain] = entry.read_bytes()


def _ask(target: Path, there: list[str], *, as_json: bool) -> None:
    """Go on only if the user says so; a script must say `--force`."""
    listed = ", ".join(sorted(there))
    if as_json or not sys.stdin.isatty():
        raise conflict(
            f"{len(there)} files would be overwritten: {listed}",
            where=str(target),
            fix="name another folder, or say --force",
            detail={"files": sorted(there)},
        )
    output.say(f"In {target} these would be overwritten: {listed}")
    click.confirm("Overwrite them?", abort=True, err=True)


def _write(target: Path, files: dict[str, bytes]) -> None:
    inside = target.resolve()
    try:
        for path, content in files.items():
            file = target / path
            file.parent.mkdir(parents=True, exist_ok=True)
            # A link in a folder that was there before must not lead the writing elsewhere.
            if file.is_symlink() or not file.parent.resolve().is_relative_to(inside):
                raise conflict("a link is in the way", where=str(file), fix="remove it, or name another folder")
            file.write_bytes(content)
    except OSError as problem:
        raise unavailable(f"the project cannot be written: {problem.strerror}", where=str(target)) from None
