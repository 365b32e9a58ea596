"""`rw schema` prints what is shipped."""

import json
from importlib import resources


def test_the_schema_is_printed_anywhere(rw) -> None:
    done = rw("schema")
    assert done.returncode == 0
    assert json.loads(done.stdout)["title"] == "roadworthy.toml"
    shipped = resources.files("roadworthy.store") / "roadworthy.schema.json"
    assert done.stdout == shipped.read_text("utf-8")
