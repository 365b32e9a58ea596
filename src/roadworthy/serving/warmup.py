"""Warm-up: the first prediction of a process imports and allocates; nobody should wait for that.

In: a loaded model. Out: nothing; it has answered rows made up from its signature. Called by serving/app.py at start.
"""

import contextlib
from typing import Any

from roadworthy.nouns.model import FieldType
from roadworthy.serving.model import Predictor
from roadworthy.serving.signature import convert

_MADE_UP: dict[FieldType, Any] = {
    "integer": 1,
    "number": 1.0,
    "string": "a",
    "boolean": True,
    "datetime": "2000-01-01T00:00:00Z",
}


def warm(predictor: Predictor) -> None:
    """Answer a made-up row; a model that refuses it has still been touched, and may do so."""
    inputs = predictor.model.signature.inputs
    row = {field.name: None if field.nullable else _MADE_UP[field.type] for field in inputs}
    with contextlib.suppress(Exception):
        for rows in ([row], [row, row]):
            predictor.predict_aligned(convert(rows, predictor.model.signature))
