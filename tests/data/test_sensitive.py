"""Masks: the same within a project, unlike the value, and of no use to someone without the secret."""

import datetime as dt
import pathlib
import stat
from concurrent.futures import ThreadPoolExecutor

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadworthy.data import sensitive
from roadworthy.nouns.errors import Fault
from roadworthy.nouns.project import Project

KEY = b"k" * 32


@given(st.one_of(st.text(), st.integers(), st.floats(allow_nan=False), st.dates()))
def test_a_mask_is_stable_and_shows_nothing(value: object) -> None:
    masked = sensitive.mask(value, secret=KEY)
    assert masked == sensitive.mask(value, secret=KEY)
    assert masked.startswith(sensitive.PREFIX)
    assert len(masked) == len(sensitive.PREFIX) + 16
    assert masked != sensitive.mask(value, secret=b"o" * 32)


def test_equal_numbers_have_equal_masks_whatever_their_type() -> None:
    for value in (5.0, np.int64(5), np.float32(5), "5"):
        assert sensitive.mask(value, secret=KEY) == sensitive.mask(5, secret=KEY)
    assert sensitive.mask(dt.date(2024, 1, 1), secret=KEY) != sensitive.mask(dt.date(2024, 1, 2), secret=KEY)


def test_what_is_missing_stays_missing() -> None:
    for value in (None, float("nan"), pd.NA, pd.NaT, np.float64("nan")):
        assert sensitive.mask(value, secret=KEY) is None


def test_tables_join_on_masks() -> None:
    frame = pd.DataFrame({"name": ["a", "b", None, "a"], "x": [1, 2, 3, 4]})
    masked = sensitive.mask_columns(frame, ["name", "absent"], secret=KEY)
    assert frame["name"].tolist()[:2] == ["a", "b"]
    assert masked["name"].nunique() == 2
    assert masked["name"].isna().tolist() == [False, False, True, False]
    assert masked["x"].tolist() == [1, 2, 3, 4]
    arrow = sensitive.mask_columns(pa.table({"name": ["a", None], "x": [1, 2]}), {"name"}, secret=KEY)
    assert arrow.to_pydict() == {"name": [masked["name"][0], None], "x": [1, 2]}
    assert sensitive.mask_columns(frame, [], secret=KEY) is frame


def test_the_secret_is_made_once_and_is_the_owners_alone(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "keys"
    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(lambda _: sensitive.secret(folder), range(16)))
    assert len(made) == 1
    assert [p.name for p in folder.iterdir()] == [sensitive.SECRET_FILE]
    assert stat.S_IMODE((folder / sensitive.SECRET_FILE).stat().st_mode) == 0o600
    (folder / sensitive.SECRET_FILE).write_bytes(b"short")
    with pytest.raises(Fault, match="damaged"):
        sensitive.secret(folder)


def test_what_a_project_marks() -> None:
    project = msgspec.convert(
        {
            "project": {"name": "p"},
            "serving": {"sensitive": ["ip"]},
            "data": {"d": {"path": "x", "contract": {"columns": {"name": {"sensitive": True}, "age": {}}}}},
        },
        Project,
    )
    assert sensitive.sensitive_columns(project) == {"ip", "name"}
