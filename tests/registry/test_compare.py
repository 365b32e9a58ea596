"""Two runs held against each other."""

import io
import json
import tarfile
from pathlib import Path

from roadworthy.data import snapshots
from roadworthy.nouns.run import CodeVersion, Environment, MetricPoint, Run
from roadworthy.nouns.step import StepRun, Value
from roadworthy.registry import metrics, runs
from roadworthy.registry.compare import compare
from roadworthy.store.store import Store


def archive(store: Store, files: dict[str, str | bytes]) -> CodeVersion:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, text in files.items():
            content = text if isinstance(text, bytes) else text.encode()
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    digest = store.blobs.put(buffer.getvalue())
    return CodeVersion(digest=digest, archive=digest)


def value(digit: str) -> Value:
    return Value(format="json", digest=digit * 64, size=1, content=digit)


def test_what_differs_is_named_and_what_does_not_is_not(any_store: Store, tmp_path: Path) -> None:
    for name, lines in [("old", "a\n1\n"), ("new", "a\n1\n2\n")]:
        (tmp_path / f"{name}.csv").write_text(lines)
    old, new = (snapshots.take(any_store, "d", tmp_path / f"{n}.csv", project="p") for n in ("old", "new"))
    a = runs.start(any_store, Run(
        id="", project="p", params={"lr": 0.1, "same": 1, "gone": 2}, snapshots={"d": old.id}, seed=1,
        code=archive(any_store, {"pipeline.py": "x = 1\ny = 2\n", "gone.py": "", "same.py": "z"}),
        environment=Environment(python="3.11.7", packages={"numpy": "2.0", "old": "1", "same": "1"}),
    ))  # fmt: skip
    b = runs.start(any_store, Run(
        id="", project="p", params={"lr": 0.2, "same": 1, "none": None}, snapshots={"d": new.id}, seed=1,
        code=archive(any_store, {"pipeline.py": "x = 1\ny = 3\n", "more.py": "", "same.py": "z"}),
        environment=Environment(python="3.12.1", packages={"numpy": "2.1", "new": "1", "same": "1"}),
    ))  # fmt: skip
    metrics.log(any_store, a.id, [MetricPoint(key="auc", value=0.75), MetricPoint(key="nan", value=float("nan"))])
    metrics.log(any_store, b.id, [MetricPoint(key="auc", value=0.5), MetricPoint(key="nan", value=1.0)])
    runs.settle_steps(any_store, a.id, [
        (0, StepRun(step="train", status="ran", wall_s=2.0, output=value("a"))),
        (1, StepRun(step="model", status="ran", wall_s=3.0, output=value("b"))),
    ])  # fmt: skip
    runs.settle_steps(any_store, b.id, [
        (0, StepRun(step="train", status="reused", wall_s=2.0, output=value("a"))),
        (1, StepRun(step="model", status="ran", wall_s=4.0, output=value("c"))),
        (2, StepRun(step="plot", status="failed")),
    ])  # fmt: skip
    found = compare(any_store, runs.get(any_store, a.id), runs.get(any_store, b.id))
    assert {(p.name, p.a, p.b) for p in found.params} == {("lr", 0.1, 0.2), ("gone", 2, None), ("none", None, None)}
    assert [(m.name, m.difference) for m in found.metrics] == [("auc", -0.25), ("nan", None)]
    assert [(f.path, f.status) for f in found.files or ()] == [
        ("gone.py", "removed"), ("more.py", "added"), ("pipeline.py", "changed")
    ]  # fmt: skip
    assert "-y = 2\n+y = 3" in (found.files or ())[2].diff
    assert [(d.name, d.rows_a, d.rows_b) for d in found.data] == [("d", 1, 2)]
    assert [(p.name, p.a, p.b) for p in found.packages] == [
        ("new", None, "1"),
        ("numpy", "2.0", "2.1"),
        ("old", "1", None),
    ]
    assert [p.name for p in found.environment] == ["python"]
    assert [(s.name, s.status_b, s.same_output) for s in found.steps] == [
        ("train", "reused", True), ("model", "ran", False), ("plot", "failed", None)
    ]  # fmt: skip
    assert found.about == ()
    assert not found.same_code


def test_a_run_is_the_same_as_itself(any_store: Store) -> None:
    run = runs.start(any_store, Run(id="", params={"a": 1}, snapshots={"d": "0" * 64}))
    found = compare(any_store, run, run)
    assert (found.params, found.files, found.data, found.packages, found.same_code) == ((), (), (), (), True)


def test_snapshots_and_archives_that_are_gone_do_not_end_a_comparison(any_store: Store) -> None:
    a = runs.start(any_store, Run(id="", snapshots={"d": "0" * 64}, code=CodeVersion(digest="a", archive="0" * 64)))
    b = runs.start(any_store, Run(id="", snapshots={"d": "1" * 64}, code=CodeVersion(digest="b")))
    found = compare(any_store, a, b)
    assert found.files is None
    assert [(d.rows_a, d.rows_b) for d in found.data] == [(None, None)]


def test_a_notebook_differs_by_its_cells_and_bytes_have_no_diff(any_store: Store) -> None:
    def notebook(source: str, output: str) -> str:
        return json.dumps({"cells": [{"source": [source], "outputs": [output]}]})

    a = runs.start(
        any_store, Run(id="", code=archive(any_store, {"n.ipynb": notebook("x = 1", "o"), "b": b"\xff\x00"}))
    )
    b = runs.start(
        any_store, Run(id="", code=archive(any_store, {"n.ipynb": notebook("x = 2", "p"), "b": b"\xff\x01"}))
    )
    binary, cells = compare(any_store, a, b).files or ()
    assert (binary.path, binary.diff) == ("b", "")
    assert "-x = 1\n+x = 2" in cells.diff
    assert "outputs" not in cells.diff
