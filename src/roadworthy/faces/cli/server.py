"""`rw server`: the tracking and registry server, a drop-in for `mlflow server`."""

from pathlib import Path

import click

from roadworthy.faces.cli import output
from roadworthy.store.store import HOME, open_store

PORT = 5000


@click.command()
@click.option("--port", default=PORT, show_default=True, help="Port of the loopback address.")
@click.option("--store", "url", default="", help="sqlite (the default), or postgresql://user@host/database.")
@click.option("--home", type=click.Path(path_type=Path), default=HOME, show_default=True, help="The store's folder.")
def command(port: int, url: str, home: Path) -> None:
    r"""Serve tracking and the model registry to MLflow's clients.

    \b
    Examples:
      rw server
      rw server --port 5001 --store postgresql://ml@db/road
      MLFLOW_TRACKING_URI=http://127.0.0.1:5000 python train.py
    """
    from roadworthy.faces.server import main
    from roadworthy.faces.server.server import Settings
    from roadworthy.serving import runtime

    store = open_store(home, url=url)
    listener = runtime.bind_port(port)
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    output.say(f"serving {address}  (stop with Ctrl-C)\n  MLFLOW_TRACKING_URI={address}")
    main.serve(store, Settings(url=address), listener)
