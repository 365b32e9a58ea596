import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roadworthy.nouns.errors import Code, Fault
from roadworthy.nouns.model import Field, Signature
from roadworthy.serving.signature import align, column_names, convert, convert_columns, infer

TABLE = pd.DataFrame(
    {
        "whole": [1, 2],
        "real": [1.5, np.nan],
        "text": ["x", None],
        "truth": [True, False],
        "moment": pd.to_datetime(["2013-01-01", "2013-01-02"]),
        "zoned": pd.to_datetime(["2013-01-01T00:00:00Z", None]),
        "kind": pd.Categorical(["u", "v"]),
        "small": np.array([1, 2], "int8"),
        "unsigned": np.array([1, 2], "uint64"),
        "half": np.array([1, 2], "float32"),
        "maybe": pd.array([1, None], dtype="Int64"),
        "perhaps": pd.array([True, None], dtype="boolean"),
        "old": pd.Series(["x", None], dtype=object),
    }
)
ROW = {
    "whole": 3, "real": None, "text": "q", "truth": False, "moment": "2013-05-01T10:00:00", "zoned": "2013-05-01T10:00:00Z",
    "kind": "u", "small": 4, "unsigned": 2**63, "half": 0.5, "maybe": None, "perhaps": None, "old": "z",
}  # fmt: skip
SIGNATURE = infer(TABLE)


def dtypes(table: pd.DataFrame) -> dict[str, str]:
    return {name: str(dtype) for name, dtype in table.dtypes.items()}


def test_a_table_tells_what_a_request_must_send() -> None:
    found = {field.name: (field.type, field.nullable) for field in SIGNATURE.inputs}
    assert found == {
        "whole": ("integer", False), "real": ("number", True), "text": ("string", True), "truth": ("boolean", False),
        "moment": ("datetime", False), "zoned": ("datetime", True), "kind": ("string", False),
        "small": ("integer", False), "unsigned": ("integer", False), "half": ("number", False),
        "maybe": ("integer", True), "perhaps": ("boolean", True), "old": ("string", True),
    }  # fmt: skip
    assert [f.name for f in infer(pa.table({"b": [1], "a": ["x"]}), ["a"]).inputs] == ["a"]
    assert column_names(SIGNATURE, None, "whole", "id")[-1] == "id"


def test_a_request_becomes_what_the_model_was_trained_on() -> None:
    table = convert([ROW, ROW | {"real": 2, "whole": 5.0}], SIGNATURE)
    assert dtypes(table) == dtypes(TABLE)
    assert list(table.columns) == list(TABLE.columns)
    assert table["whole"].tolist() == [3, 5]
    assert math.isnan(table["real"][0])
    assert table["moment"][0] == pd.Timestamp("2013-05-01T10:00:00")
    assert table["unsigned"][0] == 2**63


def test_text_reads_as_json_does() -> None:
    text = {name: ["" if value is None else str(value)] for name, value in ROW.items()}
    table = convert_columns(text, SIGNATURE, source="text")
    pd.testing.assert_frame_equal(table, convert([ROW], SIGNATURE))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("whole", "1"), ("whole", 1.5), ("whole", True), ("whole", None), ("whole", 2**70), ("whole", [1]),
        ("real", "1"), ("real", math.inf), ("real", math.nan), ("real", 10**400), ("real", {"a": 1}), ("real", False),
        ("text", 1), ("text", ["x"]), ("truth", 0), ("truth", "true"), ("truth", None), ("moment", 5),
        ("moment", "soon"), ("moment", None), ("kind", None), ("small", 300), ("small", -129), ("unsigned", -1),
        ("half", 1e300), ("maybe", 1.5), ("perhaps", 1),
    ],
)  # fmt: skip
def test_what_is_not_allowed_is_refused_by_row_and_field(field: str, value: object) -> None:
    with pytest.raises(Fault) as caught:
        convert([ROW, ROW | {field: value}], SIGNATURE)
    assert caught.value.code is Code.INVALID
    assert caught.value.detail["row"] == 1
    assert caught.value.detail["field"] == field
    assert field in caught.value.where


def test_a_missing_column_is_named() -> None:
    with pytest.raises(Fault, match="'real' is missing") as caught:
        convert([ROW, {k: v for k, v in ROW.items() if k != "real"}], SIGNATURE)
    assert caught.value.detail["row"] == 1


@pytest.mark.parametrize(
    ("text", "kind"), [("1e400", "number"), ("nan", "number"), ("1_0x", "integer"), ("9" * 5000, "integer")]
)
def test_text_that_is_no_number(text: str, kind: str) -> None:
    signature = Signature(inputs=(Field(name="a", type=kind),))
    with pytest.raises(Fault):
        convert_columns({"a": [text]}, signature, source="text")


def test_tables_are_aligned_to_the_model() -> None:
    mixed = TABLE[list(reversed(TABLE.columns))].assign(extra=1, whole=TABLE["whole"].astype("int32"))
    assert dtypes(align(mixed, SIGNATURE)) == dtypes(TABLE)
    with pytest.raises(Fault, match="missing"):
        align(TABLE.drop(columns="kind"), SIGNATURE)
    with pytest.raises(Fault, match="trained"):
        align(TABLE.assign(whole=["a", "b"]), SIGNATURE)


def test_columns_that_no_request_can_carry_are_refused() -> None:
    for column in ([b"x"], [1 + 2j], pd.to_timedelta(["1s"]), [{"a": 1}]):
        with pytest.raises(Fault, match="cannot be an input"):
            infer(pd.DataFrame({"a": column}))
    with pytest.raises(Fault, match="no column"):
        infer(TABLE, ["nothing"])


PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
SENT = PLAIN | st.lists(PLAIN, max_size=2) | st.dictionaries(st.text(max_size=2), PLAIN, max_size=2)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(SIGNATURE.inputs), st.lists(SENT, max_size=4), st.sampled_from(["json", "text"]))
def test_anything_sent_is_a_table_or_a_fault(field: Field, values: list, source) -> None:
    try:
        table = convert_columns({field.name: values}, Signature(inputs=(field,)), source=source)
    except Fault as fault:
        assert fault.code is Code.INVALID  # noqa: PT017 - either way is right
    else:
        assert len(table) == len(values)
