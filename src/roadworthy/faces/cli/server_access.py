"""`rw server token` and `rw server user`: who may use a server, and as what."""

import sys
from pathlib import Path
from typing import Any

import click

from roadworthy.faces.cli import output
from roadworthy.nouns.errors import invalid
from roadworthy.store.store import Store, open_store

ROLE_HELP = "viewer, editor, releaser or admin; of one project, ROLE@PROJECT. Repeatable."
DAYS = 90


@click.group("token")
def token() -> None:
    """Make, list and revoke API tokens."""


@token.command("create")
@click.argument("name")
@click.option("--role", "words", multiple=True, required=True, help=ROLE_HELP)
@click.option(
    "--days", default=DAYS, show_default=True, type=click.FloatRange(0), help="Until it expires; 0 for never."
)
@click.option("--owner", default="", help="The user whose it is, and whose roles cap its own.")
@output.json_option
@click.pass_context
def create(ctx: click.Context, name: str, words: tuple[str, ...], days: float, owner: str, *, as_json: bool) -> None:
    r"""Make a token for NAME; it is shown once.

    \b
    Examples:
      rw server token create laptop --role editor
      rw server token create ci --role editor@flights --role viewer --days 30
    """
    from roadworthy.faces.server.identity import roles, tokens, users

    with _opened(ctx) as store:
        if owner:
            users.get(store, owner)
        secret, made = tokens.create(store, name, roles.parse(words), days=days or None, owner=owner)
    if as_json:
        output.print_json({"token": secret, **_shown(made)})
        return
    click.echo(secret)
    output.say(f"token {made.id} for {name}: {', '.join(roles.written(made.roles))}; expires {_until(made.expires_at)}")
    output.say("  it is not shown again; give it to clients as MLFLOW_TRACKING_TOKEN")


@token.command("list")
@output.json_option
@click.pass_context
def list_tokens(ctx: click.Context, *, as_json: bool) -> None:
    """The tokens there are; not their secrets, which are not kept."""
    from roadworthy.faces.server.identity import roles, tokens

    with _opened(ctx) as store:
        found = tokens.listing(store)
        now = store.clock.now()
    if as_json:
        output.print_json([_shown(one) for one in found])
        return
    output.table(
        ["id", "name", "owner", "roles", "state", "expires", "last used"],
        [
            [
                one.id,
                one.name,
                one.owner or None,
                ", ".join(roles.written(one.roles)),
                "valid" if one.valid(now) else "revoked" if one.revoked_at is not None else "expired",
                _until(one.expires_at),
                output.when(one.used_at),
            ]
            for one in found
        ],
    )


@token.command("revoke")
@click.argument("token_id", metavar="ID")
@click.pass_context
def revoke(ctx: click.Context, token_id: str) -> None:
    """End a token; servers notice within two seconds."""
    from roadworthy.faces.server.identity import tokens

    with _opened(ctx) as store:
        tokens.revoke(store, token_id)
    output.say(f"token {token_id} is revoked")


@click.group("user")
def user() -> None:
    """Add, list, change and remove users."""


@user.command("add")
@click.argument("name")
@click.option("--role", "words", multiple=True, required=True, help=ROLE_HELP)
@click.option("--password-file", type=click.Path(path_type=Path), help="Read the password from here, not the terminal.")
@click.pass_context
def add(ctx: click.Context, name: str, words: tuple[str, ...], password_file: Path | None) -> None:
    r"""Let NAME in with a password, which is asked for.

    \b
    Examples:
      rw server user add ada --role admin
      rw server user add bob --role editor@flights --password-file /run/secrets/bob
    """
    from roadworthy.faces.server.identity import roles, users

    given = roles.parse(words)
    with _opened(ctx) as store:
        made = users.add(store, name, given, password=_password(password_file))
    output.say(f"user {made.name}: {', '.join(roles.written(made.roles))}")


@user.command("list")
@output.json_option
@click.pass_context
def list_users(ctx: click.Context, *, as_json: bool) -> None:
    """The users there are."""
    from roadworthy.faces.server.identity import roles, users

    with _opened(ctx) as store:
        found = users.listing(store)
    if as_json:
        output.print_json([_person(one) for one in found])
        return
    output.table(
        ["name", "roles", "comes in by", "since"],
        [
            [
                one.name,
                ", ".join(roles.written(one.roles)) or None,
                "nothing: disabled" if not one.active else "a password" if one.password else "the identity provider",
                output.when(one.created_at),
            ]
            for one in found
        ],
    )


@user.command("password")
@click.argument("name")
@click.option("--password-file", type=click.Path(path_type=Path), help="Read the password from here, not the terminal.")
@click.pass_context
def password(ctx: click.Context, name: str, password_file: Path | None) -> None:
    """Give a user another password; who is logged in with the old one is out."""
    from roadworthy.faces.server.identity import users

    with _opened(ctx) as store:
        users.get(store, name)
        users.set_password(store, name, _password(password_file))
    output.say(f"user {name} has another password")


@user.command("role")
@click.argument("name")
@click.argument("word", metavar="ROLE[@PROJECT]")
@click.option("--remove", is_flag=True, help="Take the role away.")
@click.pass_context
def role(ctx: click.Context, name: str, word: str, *, remove: bool) -> None:
    """Give a user a role, or take it away."""
    from roadworthy.faces.server.identity import roles, users

    ((project, given),) = roles.parse([word]).items()
    with _opened(ctx) as store:
        users.set_role(store, name, project, None if remove else given)
        now = users.get(store, name)
    output.say(f"user {name}: {', '.join(roles.written(now.roles)) or 'no role'}")


@user.command("disable")
@click.argument("name")
@click.option("--undo", is_flag=True, help="Let them in again.")
@click.pass_context
def disable(ctx: click.Context, name: str, *, undo: bool) -> None:
    """Keep a user and their tokens out."""
    from roadworthy.faces.server.identity import users

    with _opened(ctx) as store:
        users.set_active(store, name, active=undo)
    output.say(f"user {name} is {'let in' if undo else 'kept out'}")


@user.command("remove")
@click.argument("name")
@click.pass_context
def remove(ctx: click.Context, name: str) -> None:
    """Forget a user; what they did stays in the log."""
    from roadworthy.faces.server.identity import users

    with _opened(ctx) as store:
        users.remove(store, name)
    output.say(f"user {name} is removed")


def _opened(ctx: click.Context) -> Store:
    """The store that the options of `rw server` name."""
    from roadworthy.faces.server import configuration

    config = ctx.obj.get("config")
    url = ctx.obj.get("store") or (configuration.read(config).store if config else None)
    return open_store(ctx.obj["home"], url=url or "")


def _password(file: Path | None) -> str:
    if file is not None:
        try:
            return file.read_text("utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as problem:
            raise invalid(f"the password cannot be read: {problem}", where=str(file)) from None
    if not sys.stdin.isatty():
        raise invalid("a password is asked for on a terminal", fix="or give --password-file")
    given: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    return given


def _shown(one: Any) -> dict[str, Any]:
    return {name: getattr(one, name) for name in one.__struct_fields__}


def _person(one: Any) -> dict[str, Any]:
    shown = {name: getattr(one, name) for name in ("name", "roles", "active", "created_at")}
    return {**shown, "has_password": bool(one.password)}


def _until(at: float | None) -> str:
    return "never" if at is None else output.when(at)
