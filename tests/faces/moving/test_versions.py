"""Versions are found of a model of any name, on a server of ours as on MLflow's."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from roadworthy.faces.moving import sources, versions
from roadworthy.faces.moving.exporter import OURS, Exporter
from roadworthy.faces.moving.importer import Importer
from roadworthy.registry import imported
from roadworthy.registry.model_names import Named
from roadworthy.registry.model_versions import Version
from roadworthy.registry.remote import Remote
from roadworthy.store.group import together
from roadworthy.store.store import Store, open_store
from tests.server_faults.served import Served

NAMES = ("plain", "o'brien", 'say "x"', "b'o\"th", "bxoxth", "100%_sure", "o''brien")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(tmp_path_factory.mktemp("served")) as server:
        yield server


def test_a_model_of_any_name_is_exported_once_and_comes_back(store: Store, served: Served, tmp_path: Path) -> None:
    uri = f"http://127.0.0.1:{served.port}"
    with together(store) as opened:
        for name in NAMES:
            imported.name(opened, Named(name=name, created_ms=1, updated_ms=1))
            imported.version(opened, Version(name=name, version=1, source="s3://b/x", created_ms=1, updated_ms=1))
    remote = Remote(uri)
    first, second = (Exporter(store, remote, project="", tell=lambda _: None).send() for _ in range(2))
    assert (first.problems, first.models, first.versions) == ([], len(NAMES), len(NAMES))
    assert (second.problems, second.versions) == ([], 0)
    for name in NAMES:
        (found,) = versions.of_model(remote, name)
        assert {tag["value"] for tag in found["tags"] if tag["key"] == OURS} == {f"{name}@1"}
    remote.close()
    with open_store(tmp_path / "third") as third:
        back = sources.of(uri)
        brought = Importer(third, back, project="", tell=lambda _: None).bring()
        back.close()
        assert (brought.problems, brought.versions) == ([], len(NAMES))
