"""`rw server`: the tracking and registry server, a drop-in for `mlflow server`; its tokens and users."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from roadworthy.faces.cli import output
from roadworthy.faces.cli.server_access import token, user
from roadworthy.nouns.errors import invalid
from roadworthy.store.store import HOME, open_store

if TYPE_CHECKING:
    from roadworthy.faces.server.configuration import Table
    from roadworthy.faces.server.entrances import Place
    from roadworthy.faces.server.server import Settings

HOST = "127.0.0.1"
PORT = 5000
PREFIX = "ROADWORTHY_SERVER_"


def _option(*names: str, **more: Any) -> Callable[[Any], Any]:
    """An option that a variable may give too: ROADWORTHY_SERVER_ and the flag's name."""
    flag = names[0].partition("/")[0].removeprefix("--").replace("-", "_").upper()
    return click.option(*names, default=None, envvar=PREFIX + flag, show_envvar=True, **more)


@click.group(invoke_without_command=True)
@_option("--host", help=f"Address to listen on; 0.0.0.0 for all. [default: {HOST}]")
@_option("--port", type=click.IntRange(0, 65_535), help=f"Port to listen on. [default: {PORT}]")
@_option("--store", help="sqlite (the default), or postgresql://user@host/database.")
@_option("--blobs", help="Where artifacts are kept: s3://bucket/prefix, gs://, az://, file://. [default: in --home]")
@click.option("--home", type=click.Path(path_type=Path), default=HOME, show_default=True, help="The store's folder.")
@_option("--config", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="A TOML file with [server].")
@_option("--url", help="The address by which clients reach it, when a proxy stands before it.")
@_option("--allow-host", "allow_hosts", multiple=True, help="A name it answers for, beside its addresses. Repeatable.")
@_option("--login/--no-login", help="Ask who everybody is. [default: on, but for the bare loopback address]")
@_option("--tls-cert", type=click.Path(), help="PEM file of the certificate chain; with --tls-key it speaks TLS.")
@_option("--tls-key", type=click.Path(), help="PEM file of its key.")
@_option("--behind-proxy", is_flag=True, help="A proxy of yours speaks TLS and says where requests come from.")
@_option("--plain-http", is_flag=True, help="Listen beyond this machine without TLS.")
@_option("--requests-per-s", type=float, help="Of one identity or address; 0 for any number. [default: 0]")
@_option("--log-format", type=click.Choice(["text", "json"]), help="Of the log on stderr. [default: text]")
@_option("--access-log/--no-access-log", help="Log each request. [default: off]")
@_option("--mlflow-ui", metavar="PYTHON_OR_FOLDER", help="Serve MLflow's own pages, of the MLflow that is there.")
@click.pass_context
def command(ctx: click.Context, /, home: Path, config: Path | None, **flags: Any) -> None:
    r"""Serve tracking and the model registry to MLflow's clients.

    On the loopback address nobody needs to log in. On any other the server starts only when somebody can (a token, a
    user, an identity provider), and with TLS, or when told that a proxy takes care of it.

    \b
    Examples:
      rw server
      rw server --port 5001 --store postgresql://ml@db/road --blobs s3://road/blobs
      rw server token create laptop --role editor
      rw server --mlflow-ui .venv/bin/python
      rw server --host 0.0.0.0 --tls-cert chain.pem --tls-key key.pem --allow-host mlflow.example.com
      MLFLOW_TRACKING_URI=http://127.0.0.1:5000 python train.py
    """
    ctx.obj = {**(ctx.obj or {}), "home": home, "store": flags["store"], "config": config}
    if ctx.invoked_subcommand is not None:
        return
    from roadworthy.faces.server import configuration, entrances, main

    table = configuration.read(config) if config else configuration.Table()
    said = _merged(flags, table)
    place = _place(said)
    store = open_store(home, url=said["store"] or "")
    if said["blobs"]:
        from roadworthy.store.remote_blobs import connect

        store.keep_blobs(connect(said["blobs"], home / "blobs"))
    settings = _settings(said, table, place)
    entrances.check(store, settings, place, plain_http=bool(said["plain_http"]))
    listener = entrances.listen(place)
    _say(settings, place, listener.getsockname()[1])
    main.serve(store, settings, listener, place.certificate)


command.add_command(token)
command.add_command(user)


def _merged(flags: dict[str, Any], table: "Table") -> dict[str, Any]:
    """What the flags and variables say, and where they say nothing, the file."""
    said = {name: value if value not in (None, ()) else getattr(table, name) for name, value in flags.items()}
    return {**said, "private_webhooks": table.private_webhooks}


def _place(said: dict[str, Any]) -> "Place":
    from roadworthy.faces.server.entrances import Place
    from roadworthy.serving.guard import Certificate

    if bool(said["tls_cert"]) != bool(said["tls_key"]):
        raise invalid("TLS needs a certificate and its key", fix="give both --tls-cert and --tls-key")
    certificate = Certificate(said["tls_cert"], said["tls_key"]) if said["tls_cert"] else None
    return Place(said["host"] or HOST, PORT if said["port"] is None else said["port"], certificate)


def _settings(said: dict[str, Any], table: "Table", place: "Place") -> "Settings":
    from roadworthy.faces.server.mlflow import pages
    from roadworthy.faces.server.server import Settings

    login = said["login"]
    if login is False and not place.loopback:
        raise invalid("only on the loopback address may anybody come in unknown", where="--no-login")
    return Settings(
        url=said["url"] or "",
        hosts=tuple(said["allow_hosts"]),
        # Behind a proxy the loopback address is everybody's.
        login=login if login is not None else not place.loopback or bool(said["behind_proxy"]),
        exposed=not place.loopback,
        behind_proxy=bool(said["behind_proxy"]),
        secure=place.certificate is not None or bool(said["behind_proxy"]),
        requests_per_s=said["requests_per_s"] or 0.0,
        oidc=table.oidc,
        workloads=tuple(table.workloads),
        log_format=said["log_format"] or "text",
        access_log=bool(said["access_log"]),
        private_webhooks=bool(said["private_webhooks"]),
        mlflow_ui=str(pages.folder(said["mlflow_ui"])) if said["mlflow_ui"] else "",
    )


def _say(settings: "Settings", place: "Place", port: int) -> None:
    scheme = "https" if place.certificate else "http"
    host = f"[{place.host}]" if ":" in place.host else place.host
    address = settings.url or f"{scheme}://{host}:{port}"
    output.say(f"serving {address}  (stop with Ctrl-C)\n  MLFLOW_TRACKING_URI={address}")
    if settings.login:
        output.say("  MLFLOW_TRACKING_TOKEN=…  (rw server token create NAME --role editor)")
    if settings.exposed and not settings.secure:
        output.say("  without TLS: whoever can listen on this network reads every token, password and model")
