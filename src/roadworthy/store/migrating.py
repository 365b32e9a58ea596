"""Migrations: numbered files that make the schema and bring it forward, each in one transaction with its number.

In: a database, whatever it has. Out: the newest schema. Called when a store is opened (store/store.py). The only table
known here is the one of the numbers.
"""

import importlib
import re
import time
from pathlib import Path
from typing import NamedTuple

from roadworthy.nouns.errors import conflict
from roadworthy.store.sql import Database, Dialect, without_password

# Any fixed number: the advisory lock under which PostgreSQL migrations run.
MIGRATION_LOCK = 0x726F6164
MIGRATIONS = "roadworthy.store.migrations"
# A path and not importlib.resources, which takes a tenth of a short command to load.
_FOLDER = Path(__file__).with_name("migrations")


class Migration(NamedTuple):
    """A file of SQL, and the module beside it whose `migrate(tx)` does what no SQL can, if there is one."""

    version: int
    file: Path
    step: str


def migrate(database: Database) -> None:
    """Bring the schema to the newest version; does nothing, in one query, when it is there already.

    Raises:
        Fault: conflict when the schema is of a newer Roadworthy.
    """
    found = migrations()
    current = _version(database)
    newest = found[-1].version
    if current > newest:
        raise conflict(
            f"the store has schema {current}, this Roadworthy knows up to {newest}",
            where=without_password(database.url),
            fix="upgrade roadworthy, or open a store of your own",
        )
    if current < newest:
        _apply(database, found)


def migrations() -> list[Migration]:
    """All there are, the oldest first."""
    files = sorted(file for file in _FOLDER.iterdir() if file.suffix in {".sql", ".py"})
    steps = {file.stem for file in files if file.suffix == ".py"}
    return [
        Migration(int(file.name[:4]), file, file.stem if file.stem in steps else "")
        for file in files
        if file.suffix == ".sql"
    ]


def statements(script: str) -> list[str]:
    """The statements of a migration: separated by `;` at a line's end, comments left out."""
    lines = [line for line in script.splitlines() if not line.lstrip().startswith("--")]
    return [part.strip() for part in re.split(r";\s*$", "\n".join(lines), flags=re.MULTILINE) if part.strip()]


def _version(database: Database) -> int:
    exists = {
        "sqlite": "SELECT 1 FROM sqlite_master WHERE name = 'schema_version'",
        "postgresql": "SELECT 1 WHERE to_regclass('schema_version') IS NOT NULL",
    }
    with database.read() as reader:
        if reader.row(exists[database.dialect]) is None:
            return 0
        row = reader.row("SELECT MAX(version) FROM schema_version")
    return int(row[0]) if row and row[0] is not None else 0


def _apply(database: Database, found: list[Migration]) -> None:
    with database.write() as tx:
        if database.dialect == "postgresql":
            tx.execute("SELECT pg_advisory_xact_lock(:lock)", lock=MIGRATION_LOCK)
        tx.execute(
            "CREATE TABLE IF NOT EXISTS schema_version (version INTEGER PRIMARY KEY, at DOUBLE PRECISION NOT NULL)"
        )
        # Asked again under the lock: another process may have been here first.
        row = tx.row("SELECT COALESCE(MAX(version), 0) FROM schema_version")
        current = int(row[0]) if row else 0
        for version, file, step in found:
            if version > current:
                for statement in statements(file.read_text("utf-8")):
                    tx.execute(_spoken(statement, database.dialect))
                if step:
                    importlib.import_module(f"{MIGRATIONS}.{step}").migrate(tx)
                tx.execute(
                    "INSERT INTO schema_version (version, at) VALUES (:version, :at)", version=version, at=time.time()
                )


def _spoken(statement: str, dialect: Dialect) -> str:
    """A migration's statement as the engine takes it; rows kept in the order of their key are SQLite's alone."""
    return statement if dialect == "sqlite" else statement.replace(" WITHOUT ROWID", "")
