"""Configuration: the `[server]` table of a file, read strictly."""

from pathlib import Path

import pytest

from roadworthy.faces.server import configuration
from roadworthy.nouns.errors import Fault

WHOLE = """
[server]
host = "0.0.0.0"
port = 5001
store = "postgresql://ml@db/road"
blobs = "s3://road/blobs"
allow_hosts = ["mlflow.example.com"]
behind_proxy = true
requests_per_s = 500
log_format = "json"

[server.oidc]
issuer = "https://idp.example.com"
client_id = "roadworthy"
client_secret_file = "/run/secrets/oidc"
roles = { ml = ["editor@flights"] }

[[server.workloads]]
name = "github"
issuer = "https://token.actions.githubusercontent.com"
audience = "roadworthy"
claims = { repository = "town/flights" }
roles = ["editor@flights"]
"""


def test_the_whole_table_is_read(tmp_path: Path) -> None:
    (tmp_path / "server.toml").write_text(WHOLE)
    table = configuration.read(tmp_path / "server.toml")
    assert (table.port, table.behind_proxy, table.login) == (5001, True, None)
    assert table.oidc is not None
    assert table.oidc.roles == {"ml": ["editor@flights"]}
    assert table.workloads[0].claims == {"repository": "town/flights"}


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[server]\nprot = 5000", "prot"),
        ("[server]\nport = 70000", "port"),
        ('[server]\nport = "x"', "port"),
        ("[servers]\n", "servers"),
        ("[server", "cannot be read"),
        ("[server.oidc]\nissuer = 'x'", "client_id"),
        ("[server]\nlog_format = 'xml'", "log_format"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, named: str) -> None:
    (tmp_path / "server.toml").write_text(text)
    with pytest.raises(Fault) as fault:
        configuration.read(tmp_path / "server.toml")
    assert named in str(fault.value)
    assert "server.toml" in fault.value.where


def test_a_file_that_is_none_is_said(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(Fault):
            configuration.read(path)
