"""`rw models`: list and show registered models, point aliases at versions."""

from pathlib import Path

import click
import msgspec

from roadworthy.data import sensitive
from roadworthy.faces.cli import output
from roadworthy.faces.cli.output import json_option
from roadworthy.faces.cli.place import open_around, open_here
from roadworthy.nouns.errors import invalid
from roadworthy.nouns.model import Model, Task
from roadworthy.registry import metrics, model_versions, models
from roadworthy.registry.model_versions import Version
from roadworthy.store.store import Store

TAG_SHOWN_MAX = 60


@click.group(name="models", invoke_without_command=True)
@click.option("--all", "everywhere", is_flag=True, help="Models of every project in the store.")
@json_option
@click.pass_context
def command(ctx: click.Context, *, everywhere: bool, as_json: bool) -> None:
    r"""List models and their versions; show one; set aliases.

    \b
    Examples:
      rw models
      rw models show late-flights@champion
      rw models alias set late-flights@3 champion
      rw models alias unset late-flights champion
      rw models adopt late-flights@4 --holdout holdout.parquet --label late
    """
    if ctx.invoked_subcommand is not None:
        return
    store, project = open_around()
    listed: list[tuple[Model, list[str]]] = []
    for name in models.names(store, "" if everywhere else project):
        pointing = _pointing(store, name)
        listed += [(model, pointing.get(model.version, [])) for model in models.versions(store, name)]
    if as_json:
        output.print_json([{**msgspec.to_builtins(m), "id": m.id, "aliases": aliases} for m, aliases in listed])
    elif not listed:
        output.say("no models yet: rw run")
    else:
        output.table(
            ["model", "aliases", "format", "size", "run", "registered"],
            [
                [
                    m.id,
                    ", ".join(aliases),
                    m.value.format,
                    output.size(m.value.size),
                    m.run[:12],
                    output.when(m.created_at),
                ]
                for m, aliases in listed
            ],
        )


@command.command()
@click.argument("model")
@json_option
def show(model: str, *, as_json: bool) -> None:
    """Show MODEL: `name` (the newest version), `name@3`, or `name@alias`."""
    store, _ = open_around()
    found = models.get(store, model)
    aliases = _pointing(store, found.name).get(found.version, [])
    measured = metrics.latest(store, found.run)
    with store.read() as reader:
        shown = model_versions.find(reader, found.name, found.version) or Version(name=found.name)
    if as_json:
        noted = {"tags": shown.tags, "stage": shown.stage, "source": shown.source}
        said = {**msgspec.to_builtins(found), **noted, "id": found.id, "aliases": aliases, "metrics": measured}
        output.print_json(said)
        return
    output.pairs(
        [
            ("model", found.id),
            ("aliases", ", ".join(aliases)),
            ("project", found.project),
            ("run", found.run),
            ("registered", output.when(found.created_at)),
            ("description", shown.description),
            ("stage", shown.stage if shown.stage != "None" else None),
            ("source", shown.source),
            ("tags", ", ".join(f"{key}={value}"[:TAG_SHOWN_MAX] for key, value in shown.tags.items())),
            ("format", found.value.format),
            ("type", found.value.type),
            ("size", output.size(found.value.size)),
            ("digest", found.value.digest),
            ("task", found.task),
            ("threshold", found.threshold if found.task == "classification" else None),
            ("label", found.label),
            ("slices", ", ".join(found.slices)),
        ]
    )
    if found.signature.inputs:
        output.heading("inputs")
        fields = [[f.name, f.type, "may be missing" if f.nullable else ""] for f in found.signature.inputs]
        output.table(["column", "type", ""], fields)
    if measured:
        output.heading("metrics of its run")
        output.table(["metric", "value"], [[k, f"{v:.6g}"] for k, v in measured.items()])


@command.command()
@click.argument("model")
@click.option("--holdout", type=click.Path(path_type=Path), help="Parquet or CSV file of rows it is judged on.")
@click.option("--label", default="", help="Column of the hold-out that holds the truth.")
@click.option(
    "--task",
    type=click.Choice(["classification", "multiclass", "regression"]),
    help="Found out from the model if absent.",
)
@click.option("--threshold", default=0.5, show_default=True, help="Score from which a classification says yes.")
@click.option("--trust", multiple=True, metavar="TYPE", help="A type beyond scikit-learn's own that it may contain.")
@json_option
def adopt(
    model: str,
    *,
    holdout: Path | None,
    label: str,
    task: Task | None,
    threshold: float,
    trust: tuple[str, ...],
    as_json: bool,
) -> None:
    """Take over MODEL, registered by an MLflow client, so that it can be gated and released.

    Its files are read from the server's artifacts: a scikit-learn model saved with serialization_format="skops", or an
    ONNX model; a pickle is refused. The hold-out and its label are those of the run (the artifact
    roadworthy/holdout.parquet, the tag roadworthy.label) unless they are given.

    \b
    Examples:
      rw models adopt late-flights@4
      rw models adopt late-flights@4 --holdout holdout.parquet --label late
    """  # noqa: D301 - click's mark is the control character
    from roadworthy.pipelines import adoption

    place, store = open_here()
    spec = place.project.model
    asked = adoption.Asked(
        project=place.project.name,
        holdout=holdout,
        label=label,
        task=task,
        threshold=threshold,
        slices=place.project.gate.slices,
        trusted=(*trust, *(spec.trusted if spec else ())),
        hidden=tuple(sensitive.sensitive_columns(place.project)),
    )
    adopted = adoption.adopt(store, model, asked)
    if as_json:
        output.print_json({**msgspec.to_builtins(adopted), "id": adopted.id})
    else:
        click.echo(f"adopted {adopted.id}: {adopted.value.format}, {adopted.task}; judge it: rw gate {adopted.id}")


@command.group()
def alias() -> None:
    """Point names such as `champion` at versions."""


@alias.command(name="set")
@click.argument("model")
@click.argument("name")
@json_option
def set_(model: str, name: str, *, as_json: bool) -> None:
    """Point the alias NAME at MODEL, such as `late-flights@3`."""
    store, _ = open_around()
    found = models.get(store, model)
    models.set_alias(store, found.name, name, found.version)
    _say(found, name, f"{found.name}@{name} is now {found.id}", as_json=as_json)


@alias.command()
@click.argument("model")
@click.argument("name")
@json_option
def unset(model: str, name: str, *, as_json: bool) -> None:
    """Take the alias NAME from MODEL."""
    store, _ = open_around()
    if "@" in model:
        raise invalid("an alias belongs to a model's name", where=model, fix=f"rw models alias unset NAME {name}")
    version = models.unset_alias(store, model, name)
    message = f"{model}@{name} is no more; it was {model}@{version}"
    _say(models.get(store, f"{model}@{version}"), name, message, as_json=as_json)


def _say(model: Model, alias_name: str, message: str, *, as_json: bool) -> None:
    if as_json:
        output.print_json({"model": model.id, "alias": alias_name})
    else:
        click.echo(message)


def _pointing(store: Store, name: str) -> dict[int, list[str]]:
    """Version to the aliases that point at it."""
    found: dict[int, list[str]] = {}
    for alias_name, version in models.aliases(store, name).items():
        found.setdefault(version, []).append(alias_name)
    return found
