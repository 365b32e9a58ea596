"""`rw import`: take everything of an existing MLflow."""

import click

from roadworthy.faces.cli import moved, output
from roadworthy.faces.cli.place import open_or_make


@click.group()
def command() -> None:
    """Bring runs and models from somewhere else."""


@command.command("mlflow")
@click.argument("uri")
@click.option("--project", default="", help="Put everything in this project. [default: everyone's]")
@output.json_option
def mlflow(uri: str, project: str, *, as_json: bool) -> None:
    r"""Take everything of an existing MLflow: experiments, runs, points, files, models, aliases; ids stay.

    URI is a server, an mlruns folder, or MLflow's database, read directly. It may be stopped and started again, and run
    again later for what is new. Nothing at the source is changed.

    \b
    Examples:
      rw import mlflow http://old-server:5000
      rw import mlflow ./mlruns
      rw import mlflow sqlite:///mlflow.db
      rw import mlflow postgresql://mlflow@db/mlflow --project flights
    """
    from roadworthy.faces.moving import sources
    from roadworthy.faces.moving.importer import Importer

    source = sources.of(uri)
    try:
        with open_or_make() as store:
            report = Importer(store, source, project=project, tell=output.say).bring()
    finally:
        source.close()
    counts = [
        ("experiments", f"{report.experiments:,}"),
        ("runs", f"{report.runs:,}{moved.present(report.runs_present, 'here')}"),
        ("metric points", f"{report.points:,}"),
        ("files", f"{report.files:,}, {output.size(report.bytes)}"),
        ("logged models", f"{report.logged_models:,}"),
        ("models", f"{report.models:,} with {report.versions:,} new versions"),
    ]
    notes = [f"the number was taken here, {line}" for line in report.renumbered]
    notes += [f"files stay at {location}" for location in report.left]
    moved.show(report, counts, notes, as_json=as_json)
