"""`rw server token` and `rw server user`, as an operator types them; what `rw server` refuses."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from roadworthy.faces.cli import server
from roadworthy.faces.cli.main import rw
from roadworthy.faces.server.identity import passwords, tokens
from roadworthy.nouns.errors import Fault
from roadworthy.store.store import open_store

Do = Callable[..., Result]


@pytest.fixture
def do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Do:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(passwords, "N", 1 << 10)

    def run(*words: str) -> Result:
        return CliRunner().invoke(rw, ["server", *words])

    return run


def test_a_token_is_made_listed_and_revoked(do: Do) -> None:
    made = do("token", "create", "laptop", "--role", "editor", "--role", "viewer@churn")
    secret = made.stdout.strip()
    assert tokens.looks_like(secret)
    assert "not shown again" in made.stderr
    listed = json.loads(do("token", "list", "--json").stdout)
    assert [(t["name"], t["roles"]) for t in listed] == [("laptop", {"*": "editor", "churn": "viewer"})]
    assert secret not in do("token", "list").stdout
    assert do("token", "revoke", listed[0]["id"]).exit_code == 0
    assert "revoked" in do("token", "list").stdout
    as_json = json.loads(do("token", "create", "ci", "--role", "viewer", "--days", "0", "--json").stdout)
    assert tokens.looks_like(as_json["token"])
    assert as_json["expires_at"] is None


def test_a_users_life(do: Do, tmp_path: Path) -> None:
    (tmp_path / "pw").write_text("correct horse battery\n")
    assert do("user", "add", "ada", "--role", "viewer", "--password-file", "pw").exit_code == 0
    assert "editor@churn" in do("user", "role", "ada", "editor@churn").stderr
    assert "editor@churn" not in do("user", "role", "ada", "editor@churn", "--remove").stderr
    listed = json.loads(do("user", "list", "--json").stdout)
    assert listed[0] | {"created_at": 0} == {
        "name": "ada", "roles": {"*": "viewer"}, "active": True, "created_at": 0, "has_password": True,
    }  # fmt: skip
    (tmp_path / "pw").write_text("another horse battery")
    assert do("user", "password", "ada", "--password-file", "pw").exit_code == 0
    assert do("user", "disable", "ada").exit_code == 0
    assert "disabled" in do("user", "list").stdout
    assert do("user", "disable", "ada", "--undo").exit_code == 0
    assert do("token", "create", "mine", "--role", "admin", "--owner", "ada").exit_code == 0
    assert do("user", "remove", "ada").exit_code == 0
    assert do("user", "list").stdout.count("ada") == 0
    with open_store(tmp_path / ".roadworthy") as store, store.read() as reader:
        assert not reader.rows("SELECT 1 FROM events WHERE record LIKE '%horse%'")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("user", "add", "ada", "--role", "king", "--password-file", "pw"), "no such role"),
        (("user", "add", "a:b", "--role", "viewer", "--password-file", "pw"), "not a user's name"),
        (("user", "add", "ada", "--role", "viewer", "--password-file", "short"), "characters"),
        (("user", "add", "ada", "--role", "viewer", "--password-file", "none"), "cannot be read"),
        (("user", "add", "ada", "--role", "viewer"), "asked for on a terminal"),
        (("user", "remove", "ada"), "no such user"),
        (("token", "create", "x", "--role", "viewer", "--owner", "ada"), "no such user"),
        (("token", "create", "x", "--role", "viewer@"), "names a project"),
        (("token", "revoke", "x"), "no such token"),
        (("--tls-cert", "x"), "both"),
        (("--host", "0.0.0.0", "--no-login"), "loopback"),
        (("--host", "0.0.0.0"), "nobody could come in"),
        (("--login",), "nobody could come in"),
        (("--blobs", "/tmp/x"), "blob store"),
        (("--store", "mysql://x"), "neither"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_message(
    do: Do, tmp_path: Path, words: tuple[str, ...], named: str
) -> None:
    (tmp_path / "pw").write_text("correct horse battery")
    (tmp_path / "short").write_text("short")
    done = do(*words)
    assert isinstance(done.exception, Fault), done.output
    assert named in str(done.exception)


def test_variables_and_a_file_say_what_flags_say(do: Do, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "server.toml").write_text('[server]\nhost = "0.0.0.0"\n')
    with pytest.raises(Fault, match="nobody could come in"):
        raise do("--config", "server.toml").exception or AssertionError
    monkeypatch.setenv("ROADWORTHY_SERVER_HOST", "0.0.0.0")
    with pytest.raises(Fault, match="nobody could come in"):
        raise do().exception or AssertionError
    monkeypatch.setenv("ROADWORTHY_SERVER_HOST", "no.such.host.invalid")
    do("token", "create", "x", "--role", "viewer")
    with pytest.raises(Fault, match="no such address"):
        raise do("--config", "server.toml", "--plain-http").exception or AssertionError
    with pytest.raises(Fault, match="no such address"):
        raise do("--host", "neither.is.this.invalid", "--plain-http").exception or AssertionError


def test_every_flag_has_a_variable_of_its_name(do: Do, monkeypatch: pytest.MonkeyPatch) -> None:
    options = [each for each in server.command.params if each.name != "home"]
    named = {each.opts[0].removeprefix("--").replace("-", "_").upper(): each.envvar for each in options}
    assert named == {flag: f"ROADWORTHY_SERVER_{flag}" for flag in named}
    monkeypatch.setenv("ROADWORTHY_SERVER_LOGIN", "true")
    with pytest.raises(Fault, match="nobody could come in"):
        raise do().exception or AssertionError
