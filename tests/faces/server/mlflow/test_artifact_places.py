"""Artifact places: every path a client may send, where it lies, and whose it is; and those that lead nowhere."""

from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from roadworthy.faces.server.errors import WireError
from roadworthy.faces.server.mlflow import artifact_places
from roadworthy.nouns.run import Run
from roadworthy.registry import groups, runs
from roadworthy.store.store import Store

# What has been tried on servers of this kind, and its relatives.
HOSTILE = [
    "../etc/passwd", "..", "a/../../b", "/etc/passwd", "//etc/passwd", "a/..", "./../a", "a//../b",
    "..%2f..%2fetc/passwd", "%2e%2e/a", "%252e%252e/a", "%25252e%25252e%25252fa", "a/%2e%2e/b", "%2Fetc/passwd",
    "..;/a", "..;x=1/a", "a/..;/b", "a;/../b", "..%3b/a",
    "..\\a", "a\\..\\b", "C:\\windows", "C:/windows", "\\\\host\\share", "%5c%5chost",
    "file:///etc/passwd", "file:/etc/passwd", "http://evil.example/x", "s3://b/k", "mlflow-artifacts:/1/x", "data:/x",
    "a\x00b", "a%00b", "a\nb", "a\rb", "a\x7fb", "a\u2028b",
    "\u2025/a", "\uff0e\uff0e/a", "a\uff0f..\uff0fb", "..\uff0fa", "a/\uff0e\uff0e/b", "\ufffd",
    "a#b", "~/x", " ../a", "a/ .. /b", ".. /a", "x" * 701, "",
]  # fmt: skip


@pytest.mark.parametrize("path", HOSTILE, ids=ascii)
def test_a_path_that_leads_out_is_invalid(path: str) -> None:
    with pytest.raises(WireError) as refused:
        artifact_places.safe(path)
    assert (refused.value.code, str(refused.value)) == ("INVALID_PARAMETER_VALUE", "Invalid path")


@pytest.mark.parametrize(
    "path", ["a", "a/b.txt", "größe/日本.txt", "a b/c+d", "..a/b..", "...", "a;b", "100%.txt", "m:1/x", "a%20b"]
)
def test_a_path_that_is_only_odd_is_kept_as_it_is(path: str) -> None:
    assert artifact_places.safe(path) == path


@given(some.text(alphabet="./\\%;25eE2fF~:a\u2025\uff0e\uff0f", max_size=30))
@settings(max_examples=500)
def test_whatever_passes_stays_inside(path: str) -> None:
    from pathlib import PurePosixPath
    from unicodedata import normalize
    from urllib.parse import unquote

    try:
        kept = artifact_places.safe(path)
    except WireError:
        return
    for form in (kept, unquote(kept), unquote(unquote(kept)), normalize("NFKC", unquote(kept))):
        parts = PurePosixPath(form).parts
        assert ".." not in parts
        assert not form.startswith("/")
        assert "\\" not in form


def test_a_runs_files_are_the_runs_wherever_its_experiment_keeps_them(store: Store) -> None:
    run = runs.start(store, Run(id="", project="p"))
    with store.read() as reader:
        for root in (f"0/{run.id}/artifacts", f"some/where/else/{run.id}/artifacts"):
            place = artifact_places.locate(reader, f"{root}/m/model.pkl")
            assert (place.run, place.path, place.project) == (run.id, "m/model.pkl", "p")
            assert artifact_places.of_uri(reader, f"mlflow-artifacts:/{root}", "m/model.pkl") == place
            assert artifact_places.of_uri(reader, f"mlflow-artifacts://host:1/{root}/m", "model.pkl") == place
            http = f"https://host/prefix/api/2.0/mlflow-artifacts/artifacts/{root}"
            assert artifact_places.of_uri(reader, http, "m/model.pkl") == place
        linked = artifact_places.of_uri(reader, f"runs:/{run.id}/m", "model.pkl")
        assert linked is not None
        assert (linked.run, linked.path) == (run.id, "m/model.pkl")


def test_what_belongs_to_no_run_is_its_experiments(store: Store) -> None:
    group = groups.create(store, "flights", project="p")
    with store.read() as reader:
        for whole in (
            f"{group.id}/models/m-1/artifacts/x",
            f"{group.id}/traces/tr-1/artifacts/traces.json",
            str(group.id),
        ):
            place = artifact_places.locate(reader, whole)
            assert (place.run, place.path, place.project) == ("", whole, "p")
        assert artifact_places.locate(reader, "999/x").project == ""
        assert artifact_places.locate(reader, f"{'9' * 30}/x").project == ""


@pytest.mark.parametrize("uri", ["s3://b/k", "/tmp/x", "file:///tmp/x", "http://evil.example/x", "", "models:/m/1"])
def test_what_is_kept_elsewhere_has_no_place(store: Store, uri: str) -> None:
    with store.read() as reader:
        assert artifact_places.of_uri(reader, uri, "a") is None


@pytest.mark.parametrize("run_id", ["", "..", "a/b", "x" * 300, "a\n", quote("../x"), "\u2025"])
def test_what_is_no_runs_id_is_invalid(store: Store, run_id: str) -> None:
    with store.read() as reader, pytest.raises(WireError, match="Invalid run ID"):
        artifact_places.of_run(reader, run_id)


@given(some.text(max_size=60))
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_is_a_place_or_invalid(store: Store, text: str) -> None:
    with store.read() as reader:
        try:
            artifact_places.locate(reader, artifact_places.safe(text))
        except WireError as refused:
            assert refused.status == 400  # noqa: PT017 - either will do
