"""ONNX models: one protobuf message, serialised deterministically."""

from pathlib import Path
from typing import Any

from roadworthy.data.formats.format import Context, Stored, Written, type_names
from roadworthy.nouns.errors import invalid

NAME = "onnx"
AUTOMATIC = True


def takes(value: Any) -> bool:
    return type_names(value)[0] == "onnx.ModelProto"


def write(value: Any, path: Path, context: Context) -> Written:
    del context
    path.write_bytes(value.SerializeToString(deterministic=True))
    return Written(type="onnx.ModelProto")


def read(stored: Stored, context: Context) -> Any:
    del context
    try:
        import onnx
    except ImportError:
        raise invalid("an ONNX model needs the onnx package", fix="pip install 'roadworthy[onnx]'") from None
    return onnx.load_model_from_string(stored.content())
