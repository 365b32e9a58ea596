"""What every format keeps: the value comes back as it was, and equal values have equal content."""

import dataclasses
import datetime as dt
import decimal
import enum
import importlib
import pathlib
import subprocess
import sys
import uuid
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scipy.sparse as sp
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from roadworthy.data.formats import registry
from roadworthy.nouns.step import Value
from roadworthy.store.blobs import Blobs
from roadworthy.store.keys import Keys


class Colour(enum.Enum):
    RED = 1


class Point(NamedTuple):
    x: int
    y: Any


class Record(msgspec.Struct, frozen=True):
    name: str
    parts: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Split:
    train: Any
    share: float


def frame() -> pd.DataFrame:
    made = pd.DataFrame(
        {
            "int": np.array([1, 2, 3], "int32"),
            "nullable": pd.array([1, None, 3], dtype="Int64"),
            "float": [0.5, np.nan, -0.0],
            "text": ["a", None, "ü"],
            "object": pd.Series(["a", None, "b"], dtype=object),
            "flag": [True, False, True],
            "maybe": pd.array([True, None, False], dtype="boolean"),
            "when": pd.to_datetime(["2024-01-01", None, "2024-01-03"]),
            "zone": pd.to_datetime(["2024-01-01", "2024-06-01", "2024-01-03"]).tz_localize("Europe/Berlin"),
            "gap": pd.to_timedelta(["1h", "2h", None]),
            "cat": pd.Categorical(["b", "a", None], categories=["c", "b", "a"], ordered=True),
            "intcat": pd.Categorical([3, 1, 3], categories=[3, 2, 1]),
            "kept": pd.period_range("2024-01", periods=3, freq="M"),
        }
    )
    made.index = pd.date_range("2024-01-01", periods=3, freq="D", name="day")
    return made


def multi() -> pd.DataFrame:
    index = pd.MultiIndex.from_tuples([("a", 1), ("b", 2)], names=["k", None])
    return pd.DataFrame({0: [1, 2], 1: [3.0, 4.0]}, index=index)


def arrow() -> pa.Table:
    return pa.table(
        {
            "l": pa.array([[1, 2], None, []], pa.list_(pa.int64())),
            "s": pa.array([{"a": 1}, None, {"a": None}], pa.struct([("a", pa.int8())])),
            "d": pa.array(["x", None, "x"]).dictionary_encode(),
            "dec": pa.array([decimal.Decimal("1.10"), None, decimal.Decimal("2.00")], pa.decimal128(10, 2)),
            "n": pa.nulls(3),
            "b": pa.array([b"\x00", None, b""], pa.binary()),
            "t": pa.array([dt.time(1, 2), None, dt.time(3)], pa.time64("us")),
        },
        metadata={"origin": "test"},
    )


VALUES: dict[str, Callable[[], Any]] = {
    "none": lambda: None,
    "scalars": lambda: [True, 0, -1, 2**80, 0.1, float("inf"), "ü", "\ud800"],
    "tagged": lambda: {
        "tuple": (1, (2,)),
        "set": {1, 2, 3},
        "frozen": frozenset({"a"}),
        "bytes": b"\x00\xff",
        "date": dt.date(2024, 1, 2),
        "datetime": dt.datetime(2024, 1, 2, 3, 4, 5, 6, tzinfo=dt.UTC),
        "time": dt.time(1, 2, 3),
        "delta": dt.timedelta(days=-1, seconds=3),
        "decimal": decimal.Decimal("1.50"),
        "uuid": uuid.UUID(int=5),
        "complex": 1 + 2j,
        "np": [np.float64(0.1), np.int8(3), np.bool_(True), np.datetime64("2024-01-01")],
        "keys": {1: "a", (2, 3): "b"},
        "dollar": {"$tuple": [1]},
        "enum": Colour.RED,
        "named": Point(1, [2]),
        "record": Record("a", (1, 2)),
        "data": Split((1,), 0.5),
    },
    "nested parts": lambda: (frame(), {"x": np.arange(3), "inner": [arrow()]}),
    "text": lambda: "two\nlines",
    "bytes": lambda: b"\x00\x01",
    "bytearray": lambda: bytearray(b"ab"),
    "frame": frame,
    "multi index": multi,
    "empty frame": lambda: frame().iloc[:0],
    "no columns": lambda: pd.DataFrame(index=range(3)),
    "series": lambda: pd.Series([1.5, None], name="y", index=["a", "b"]),
    "series without name": lambda: pd.Series(["a", "b"]),
    "arrow": arrow,
    "array": lambda: np.arange(6.0).reshape(2, 3),
    "fortran": lambda: np.asfortranarray(np.arange(6).reshape(2, 3)),
    "structured": lambda: np.array([(1, 2.0)], dtype=np.dtype([("a", "i1"), ("b", "f8")], align=True)),
    "zero-dimensional": lambda: np.array(3),
    "csr": lambda: sp.csr_matrix(np.eye(3)),
    "coo array": lambda: sp.coo_array(np.eye(3)),
    "lil": lambda: sp.lil_matrix(np.eye(2)),
}


def onnx_model() -> Any:
    from onnx import TensorProto, helper

    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 2])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 2])
    return helper.make_model(helper.make_graph([helper.make_node("Abs", ["x"], ["y"])], "g", [x], [y]))


VALUES["onnx"] = onnx_model


def same(one: Any, two: Any) -> bool:
    if type(one) is not type(two):
        return False
    if isinstance(one, pd.DataFrame):
        pd.testing.assert_frame_equal(one, two, check_freq=True, check_flags=True)
        return True
    if isinstance(one, pd.Series):
        pd.testing.assert_series_equal(one, two)
        return True
    if isinstance(one, pa.Table):
        return one.equals(two, check_metadata=True)
    if isinstance(one, np.ndarray):
        return one.dtype == two.dtype and bool(np.array_equal(one, two))
    if sp.issparse(one):
        return one.dtype == two.dtype and not (one != two).nnz
    if isinstance(one, dict):
        return list(one) == list(two) and all(same(one[k], two[k]) for k in one)
    if isinstance(one, list | tuple):
        return len(one) == len(two) and all(same(a, b) for a, b in zip(one, two, strict=True))
    return bool(one == two)


@pytest.fixture
def blobs(tmp_path: pathlib.Path) -> Blobs:
    return Blobs(tmp_path / "blobs")


@pytest.mark.parametrize("name", VALUES)
def test_a_value_comes_back_as_it_was(blobs: Blobs, name: str) -> None:
    value = registry.save(blobs, VALUES[name]())
    # As the store keeps it: through JSON.
    value = msgspec.json.decode(msgspec.json.encode(value), type=Value)
    assert same(registry.load(blobs, value), VALUES[name]())


@pytest.mark.parametrize("name", VALUES)
def test_equal_values_have_equal_content_and_what_came_back_too(blobs: Blobs, name: str) -> None:
    first = registry.save(blobs, VALUES[name]())
    second = registry.save(blobs, registry.load(blobs, first))
    assert first.content == second.content
    assert first.content
    assert (first.format, first.type) == (second.format, second.type)


@pytest.mark.parametrize("name", [n for n in VALUES if n != "none"])
def test_damaged_bytes_are_never_loaded(blobs: Blobs, name: str) -> None:
    value = registry.save(blobs, VALUES[name]())
    path = blobs.path(value.digest)
    path.chmod(0o644)
    content = bytearray(path.read_bytes() or b"x")
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(Exception, match="no longer has its digest"):
        registry.load(blobs, value)


ROWS = np.random.default_rng(3).random((80, 3))
LABELS = (ROWS[:, 0] > 0.5).astype(int)
MODELS: dict[str, Callable[[], Any]] = {
    "linear": lambda: make_pipeline(StandardScaler(), LogisticRegression()),
    "forest": lambda: RandomForestClassifier(5, random_state=0),
    "boosting": lambda: HistGradientBoostingClassifier(max_iter=5, random_state=0),
    "columns": lambda: make_pipeline(
        ColumnTransformer([("one", OneHotEncoder(handle_unknown="ignore"), [0])], remainder="passthrough"),
        LogisticRegression(max_iter=500),
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_model_predicts_as_before_and_equal_models_are_equal_bytes(blobs: Blobs, name: str) -> None:
    rows = np.round(ROWS, 1)
    first, again = (MODELS[name]().fit(rows, LABELS) for _ in range(2))
    value = registry.save(blobs, first)
    assert value.format == "skops"
    loaded = registry.load(blobs, value)
    np.testing.assert_array_equal(loaded.predict_proba(rows), first.predict_proba(rows))
    assert registry.save(blobs, again).digest == value.digest
    assert registry.save(blobs, loaded).content == value.content


def test_content_does_not_depend_on_chunks_slices_or_what_lies_under_nulls(blobs: Blobs) -> None:
    whole = arrow()
    chunked = pa.concat_tables([whole.slice(0, 1), whole.slice(1)])
    assert registry.save(blobs, chunked).content == registry.save(blobs, whole).content
    plain = pa.table({"a": pa.Array.from_buffers(pa.int64(), 2, [pa.py_buffer(b"\x01"), pa.py_buffer(bytes(16))])})
    dirty = bytes(8) + b"\xff" * 8
    under = pa.table({"a": pa.Array.from_buffers(pa.int64(), 2, [pa.py_buffer(b"\x01"), pa.py_buffer(dirty)])})
    assert registry.save(blobs, plain).content == registry.save(blobs, under).content


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (lambda: [1], lambda: [1.0]),
        (lambda: [1], lambda: (1,)),
        (lambda: pd.DataFrame({"a": [1]}), lambda: pd.DataFrame({"b": [1]})),
        (lambda: pd.DataFrame({"a": [1, 2]}), lambda: pd.DataFrame({"a": [2, 1]})),
        (lambda: pd.DataFrame({"a": [1]}), lambda: pd.DataFrame({"a": np.array([1], "int32")})),
        (lambda: pd.DataFrame({"a": ["ab", "c"]}), lambda: pd.DataFrame({"a": ["a", "bc"]})),
        (lambda: pa.table({"a": [1, None]}), lambda: pa.table({"a": [None, 1]})),
        (lambda: pa.table({"a": [1, 0]}), lambda: pa.table({"a": [1, None]})),
        (lambda: np.zeros(4), lambda: np.zeros((2, 2))),
    ],
)  # fmt: skip
def test_different_values_have_different_content(blobs: Blobs, one: Callable[[], Any], two: Callable[[], Any]) -> None:
    assert registry.save(blobs, one()).content != registry.save(blobs, two()).content


def test_a_dict_in_another_order_is_equal_content_and_keeps_its_order(blobs: Blobs) -> None:
    one, two = registry.save(blobs, {"a": 1, "b": 2}), registry.save(blobs, {"b": 2, "a": 1})
    assert one.content == two.content
    assert list(registry.load(blobs, two)) == ["b", "a"]


def test_a_relation_comes_back_as_one(blobs: Blobs) -> None:
    import duckdb

    value = registry.save(blobs, duckdb.sql("SELECT 1 AS a, 'x' AS b"))
    loaded = registry.load(blobs, value)
    assert type(loaded) is duckdb.DuckDBPyRelation
    assert loaded.fetchall() == [(1, "x")]


def test_files_and_folders_come_back_as_read_only_paths(blobs: Blobs, tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "out"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "a.txt").write_text("a")
    (folder / "empty").mkdir()
    loaded = registry.load(blobs, registry.save(blobs, folder))
    assert (loaded / "deep" / "a.txt").read_text() == "a"
    assert (loaded / "empty").is_dir()
    assert not (loaded / "deep" / "a.txt").stat().st_mode & 0o222
    file = registry.load(blobs, registry.save(blobs, folder / "deep" / "a.txt"))
    assert (file.name, file.read_text()) == ("a.txt", "a")


def test_a_folder_with_a_link_out_of_it_is_refused(blobs: Blobs, tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "link").symlink_to("/etc/passwd")
    with pytest.raises(Exception, match="no file"):
        registry.save(blobs, folder)


def test_pickle_is_by_name_signed_and_checked(blobs: Blobs, tmp_path: pathlib.Path) -> None:
    keys = Keys(tmp_path / "keys")
    value = registry.save(blobs, {1, 2}, format="pickle", keys=keys)
    assert registry.load(blobs, value, keys=keys) == {1, 2}
    with pytest.raises(Exception, match="not signed by this store"):
        registry.load(blobs, value, keys=Keys(tmp_path / "others"))
    with pytest.raises(Exception, match="project's key"):
        registry.load(blobs, value)
    forged = msgspec.structs.replace(value, meta={})
    with pytest.raises(Exception, match="not signed by this store"):
        registry.load(blobs, forged, keys=keys)
    other = registry.save(blobs, {3}, format="pickle", keys=keys)
    with pytest.raises(Exception, match="not signed by this store"):
        registry.load(blobs, msgspec.structs.replace(other, meta=value.meta), keys=keys)


def test_an_unknown_type_says_what_to_do(blobs: Blobs) -> None:
    with pytest.raises(Exception, match="no format stores a value of type") as caught:
        registry.save(blobs, object())
    assert "pickle" in str(caught.value)
    with pytest.raises(Exception, match="no format stores"):
        registry.save(blobs, {"a": [object()]})
    with pytest.raises(Exception, match="there is no format called"):
        registry.save(blobs, 1, format="nonsense")


def test_a_table_of_mixed_values_is_refused_by_column(blobs: Blobs) -> None:
    with pytest.raises(Exception, match="column odd"):
        registry.save(blobs, pd.DataFrame({"odd": [1, "a"]}))
    twice = pd.DataFrame([[1, 2]], columns=["a", "a"])
    with pytest.raises(Exception, match="same name: a"):
        registry.save(blobs, twice)
    with pytest.raises(Exception, match="array of Python objects"):
        registry.save(blobs, np.array([object()]))


def test_choosing_a_format_loads_no_heavy_library() -> None:
    code = (
        "import sys; from roadworthy.data.formats import registry; from roadworthy.data import snapshots, sources;"
        "print({'numpy', 'pandas', 'pyarrow', 'duckdb', 'sklearn', 'skops', 'onnx', 'importlib.metadata'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "set()"


def test_a_strangers_format_is_found_when_none_of_ours_will_do(
    blobs: Blobs, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "plugin.py").write_text(PLUGIN)
    (tmp_path / "plugin-1.dist-info").mkdir()
    (tmp_path / "plugin-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: plugin\nVersion: 1\n")
    (tmp_path / "plugin-1.dist-info" / "entry_points.txt").write_text("[roadworthy.formats]\nodd = plugin\n")
    monkeypatch.syspath_prepend(tmp_path)
    registry._plugins.cache_clear()
    try:
        odd = importlib.import_module("plugin")
        value = registry.save(blobs, {"x": odd.Odd(3)})
        assert registry.load(blobs, value)["x"].number == 3
        assert "odd" in registry.names()
        assert [part.format for part in registry.parts(value)] == ["odd"]
    finally:
        registry._plugins.cache_clear()
        sys.modules.pop("plugin", None)


PLUGIN = """
from roadworthy.data.formats.format import Written

NAME, AUTOMATIC = "odd", True

class Odd:
    def __init__(self, number):
        self.number = number

def takes(value):
    return isinstance(value, Odd)

def write(value, path, context):
    path.write_text(str(value.number))
    return Written(type="Odd")

def read(stored, context):
    return Odd(int(stored.content()))
"""
