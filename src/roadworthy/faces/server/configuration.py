"""Configuration: the `[server]` table of a TOML file, which says what the flags of `rw server` say, and more.

In: a path. Out: the table, or all its mistakes at once. Flags and variables win over it. Called by `rw server`.
"""

import tomllib
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from roadworthy.faces.server.identity.oidc import Provider
from roadworthy.faces.server.identity.workloads import Workload
from roadworthy.nouns.errors import invalid
from roadworthy.store import diagnosis

SIZE_MAX = 1 << 20
Port = Annotated[int, msgspec.Meta(ge=0, le=65_535)]


class Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may be written under `[server]`; the flags of the same names say what each means."""

    host: str | None = None
    port: Port | None = None
    store: str | None = None
    blobs: str | None = None
    url: str | None = None
    allow_hosts: list[str] = []
    login: bool | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    behind_proxy: bool | None = None
    plain_http: bool | None = None
    requests_per_s: Annotated[float, msgspec.Meta(ge=0)] | None = None
    log_format: Literal["text", "json"] | None = None
    access_log: bool | None = None
    mlflow_ui: str | None = None
    private_webhooks: bool | None = None
    oidc: Provider | None = None
    workloads: list[Workload] = []


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    server: Table = Table()


def read(path: Path) -> Table:
    """The `[server]` table of a file.

    Raises:
        Fault: invalid, with every mistake.
    """
    try:
        with path.open("rb") as file:
            text = file.read(SIZE_MAX + 1)
        table = tomllib.loads(text.decode("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as problem:
        raise invalid(f"cannot be read: {problem}", where=str(path)) from None
    try:
        return msgspec.convert(table, _File).server
    except msgspec.ValidationError as problem:
        found = diagnosis.problems(table, _File) or [diagnosis.Problem(path=(), what=str(problem))]
        said = [f"{'.'.join(map(str, one.path))}: {one.what}{'; ' + one.fix if one.fix else ''}" for one in found]
        raise invalid("\n  ".join(said), where=str(path)) from None
