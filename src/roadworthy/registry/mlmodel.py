"""MLmodel: what a model that an MLflow client logged says of itself, and where its files are with us.

In: a registered version. Out: its flavours and signature, read from the file `MLmodel` among its artifacts; nothing is
executed and nothing unpickled. Called by pipelines/adoption.py.
"""

import re
from typing import Any, NamedTuple

import msgspec

from roadworthy.nouns.errors import Fault, invalid, not_found, refused
from roadworthy.nouns.model import Field, FieldType
from roadworthy.nouns.run import Artifact
from roadworthy.registry import artifacts
from roadworthy.registry.model_versions import Version
from roadworthy.store.sql import Reader
from roadworthy.store.store import Store

BYTES_MAX = 4 << 20
FILE = "MLmodel"
_OURS = re.compile(r"mlflow-artifacts:(?://[^/]*)?/+(.+)", re.DOTALL)
_RUNS = re.compile(r"runs:/+([^/]+)(?:/(.*))?", re.DOTALL)
_HOW = (
    'log it so that loading it runs nothing: mlflow.sklearn.log_model(..., serialization_format="skops"), '
    "or mlflow.onnx.log_model(...)"
)
# MLflow's types of columns, with ours and pandas'.
_TYPES: dict[str, tuple[FieldType, str]] = {
    "boolean": ("boolean", "bool"),
    "integer": ("integer", "int32"),
    "long": ("integer", "int64"),
    "float": ("number", "float32"),
    "double": ("number", "float64"),
    "string": ("string", ""),
    "datetime": ("datetime", "datetime64[ns]"),
}


class Home(NamedTuple):
    """Where the files of a version are: the run that keeps them, or `NO_RUN`, and the folder."""

    run: str
    folder: str

    def path(self, name: str) -> str:
        return f"{self.folder}/{name}" if self.folder else name


class Described(msgspec.Struct, frozen=True, kw_only=True):
    """What the file says.

    Args:
        format: ours, `skops` or `onnx`.
        file: the model's, beside `MLmodel`.
        inputs: columns in order; None when it has no signature.
    """

    format: str
    file: str
    inputs: tuple[Field, ...] | None


def home(reader: Reader, version: Version) -> Home:
    """Where a version's files are.

    Raises:
        Fault: refused when they are not kept here.
    """
    place = version.location or version.source
    if of_run := _RUNS.fullmatch(place):
        return Home(of_run[1], (of_run[2] or "").strip("/"))
    ours = _OURS.fullmatch(place)
    if ours is None:
        raise refused(
            "its files are not kept here, and are not fetched from elsewhere", where=f"{version.id} ({place[:120]})",
            fix="log the model to this server, and register it from there",
        )  # fmt: skip
    parts = ours[1].strip("/").split("/")
    at = parts.index("artifacts") if "artifacts" in parts else 0
    if at > 0 and artifacts.owner(reader, parts[at - 1]) is not None:
        return Home(parts[at - 1], "/".join(parts[at + 1 :]))
    return Home(artifacts.NO_RUN, "/".join(parts))


def describe(store: Store, version: Version, where: Home) -> Described:
    """What the model's own file says of it.

    Raises:
        Fault: not found without the file, invalid when it cannot be read, refused for a model that can only be
            unpickled, with how to log it instead.
    """
    said = _read(store, version, where)
    flavors = said.get("flavors")
    if not isinstance(flavors, dict) or not all(isinstance(flavor, dict) for flavor in flavors.values()):
        raise invalid("its MLmodel names no flavours", where=version.id)
    form, name = _form(version, flavors)
    return Described(format=form, file=artifacts.check_path(name), inputs=_inputs(version, said.get("signature")))


def fetch(store: Store, version: Version, where: Home, name: str) -> Artifact:
    """One of a model's files.

    Raises:
        Fault: not found.
    """
    found = artifacts.find(store, where.run, where.path(name))
    if found is None:
        raise not_found(
            f"the model has no file {name!r}",
            where=version.id,
            fix="log and register it again; an upload was cut short",
        )
    return found


def _read(store: Store, version: Version, where: Home) -> dict[str, Any]:
    try:
        import yaml
    except ImportError:
        raise invalid("reading MLmodel files needs PyYAML", fix="pip install 'roadworthy[server]'") from None
    artifact = fetch(store, version, where, FILE)
    if artifact.size > BYTES_MAX:
        raise invalid(f"its MLmodel is over {BYTES_MAX >> 20} MiB", where=version.id)
    try:
        text = artifacts.read(store, artifact).decode()
        said = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - safe it is
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as problem:
        raise invalid(f"its MLmodel cannot be read: {str(problem).splitlines()[0]}", where=version.id) from None
    if not isinstance(said, dict):
        raise invalid("its MLmodel has no fields", where=version.id)
    return said


def _form(version: Version, flavors: dict[str, Any]) -> tuple[str, str]:
    onnx, sklearn = flavors.get("onnx"), flavors.get("sklearn")
    if onnx is not None and isinstance(onnx.get("data"), str):
        return "onnx", str(onnx["data"])
    if sklearn is not None and isinstance(sklearn.get("pickled_model"), str):
        form = sklearn.get("serialization_format")
        if form == "skops":
            return "skops", str(sklearn["pickled_model"])
        raise refused(
            f"it was saved with {form or 'pickle'}: loading it runs whatever is in it", where=version.id, fix=_HOW
        )
    there = ", ".join(sorted(str(name) for name in flavors if name != "python_function")) or "python_function alone"
    raise refused(f"models of this flavour are not served: {there}", where=version.id, fix=_HOW)


def _inputs(version: Version, signature: Any) -> tuple[Field, ...] | None:
    if signature is None:
        return None
    try:
        columns = msgspec.json.decode(signature["inputs"], type=list[dict[str, Any]])
    except (msgspec.DecodeError, msgspec.ValidationError, TypeError, KeyError):
        raise _no_columns(version, "it cannot be read") from None
    fields = []
    for column in columns:
        kind, name = column.get("type"), column.get("name")
        if kind not in _TYPES or not isinstance(name, str):
            raise _no_columns(version, f"an input is {str(name or 'unnamed')[:80]!r} of type {str(kind)[:80]!r}")
        ours, dtype = _TYPES[str(kind)]
        fields.append(Field(name=name, type=ours, nullable=column.get("required") is False, dtype=dtype))
    return tuple(fields)


def _no_columns(version: Version, what: str) -> Fault:
    return invalid(
        f"its signature names no columns that a request could carry: {what}", where=version.id,
        fix="log it with signature=infer_signature(X, model.predict(X)), X a pandas.DataFrame",
    )  # fmt: skip
