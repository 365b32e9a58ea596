"""Models of ours as MLflow's clients load them: the file `MLmodel` beside the stored estimator.

In: a version that `rw run` made, and that a client asks the place of. Out: a folder of artifacts, made on first asking,
whose model is the very blob that we serve. The types in a skops archive are read out of its own index; nothing of a
model is loaded here.
"""

import json
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

from roadworthy.nouns.errors import Fault
from roadworthy.nouns.model import Field, Model
from roadworthy.registry import artifacts, models, runs
from roadworthy.registry.model_versions import Version
from roadworthy.store.sql import Reader
from roadworthy.store.store import Store

FOLDER = "registered"
_FILES = {"skops": "model.skops", "onnx": "model.onnx"}
_NAMED = ("scikit-learn", "skops", "onnx", "onnxruntime", "numpy", "pandas")
_MODEL_PROJECT = "SELECT project FROM model_names WHERE name = :name"


def project_of(reader: Reader, name: str) -> str | None:
    """The project of a model by name; None when there is none."""
    row = reader.row(_MODEL_PROJECT, name=name)
    return None if row is None else str(row[0])


def uri(store: Store, version: Version) -> str:
    """The place of a version's files when they are made already; empty when they are not, or cannot be."""
    path = f"{FOLDER}/{version.name}/{version.version}"
    made = artifacts.find(store, artifacts.NO_RUN, f"{path}/MLmodel")
    return "" if made is None else f"mlflow-artifacts:/{path}"


class Laid(NamedTuple):
    """Files that are in the blob store and not named yet.

    Args:
        files: name, digest and size of each.
    """

    path: str
    project: str
    files: tuple[tuple[str, str, int], ...]


def lay_out(store: Store, version: Version) -> Laid | None:
    """Put the files of a version among the blobs, which waits for the disk; None for what MLflow cannot load safely."""
    model = models.get(store, version.id)
    name = _FILES.get(model.value.format)
    if name is None:
        return None
    packages = _packages(store, model)
    lines = [f"{package}=={packages[package]}\n" for package in _NAMED if package in packages]
    texts = {"requirements.txt": "".join(lines).encode(), "MLmodel": _mlmodel(store, model, name, packages)}
    files = [(file, store.blobs.put(content), len(content)) for file, content in texts.items()]
    path = f"{FOLDER}/{version.name}/{version.version}"
    return Laid(path, model.project, ((name, model.value.digest, model.value.size), *files))


def keep(store: Store, laid: Laid) -> str:
    """Name the files, `MLmodel` last; their place."""
    for name, digest, size in laid.files:
        artifacts.put(store, artifacts.NO_RUN, f"{laid.path}/{name}", digest, size, project=laid.project)
    return f"mlflow-artifacts:/{laid.path}"


def _mlmodel(store: Store, model: Model, name: str, packages: dict[str, str]) -> bytes:
    flavor: dict[str, Any]
    function: dict[str, Any]
    if model.value.format == "skops":
        kind = "sklearn"
        function = {"loader_module": "mlflow.sklearn", "model_path": name, "predict_fn": "predict"}
        flavor = {
            "pickled_model": name, "serialization_format": "skops", "code": None,
            "sklearn_version": packages.get("scikit-learn", ""),
            "skops_trusted_types": types_in(store.blobs.file(model.value.digest)),
        }  # fmt: skip
    else:
        kind = "onnx"
        function = {"loader_module": "mlflow.onnx", "data": name}
        flavor = {
            "data": name, "code": None, "onnx_version": packages.get("onnx", ""), "onnx_session_options": None,
            "providers": ["CPUExecutionProvider"],
        }  # fmt: skip
    inputs = [_column(field) for field in model.signature.inputs]
    # JSON is YAML too.
    return json.dumps(
        {
            "flavors": {"python_function": function, kind: flavor},
            "run_id": model.run,
            "model_uuid": model.value.digest[:32],
            "utc_time_created": "1970-01-01 00:00:00.000000",
            "signature": {"inputs": json.dumps(inputs), "outputs": None, "params": None},
        },
        indent=1,
    ).encode()


def types_in(archive: Path) -> list[str]:
    """The names of all types that a skops archive says it holds."""
    with zipfile.ZipFile(archive) as opened:
        found = _types(json.loads(opened.read("schema.json")))
    return sorted(name for name in found if not name.startswith("builtins."))


def _types(node: Any) -> set[str]:
    if isinstance(node, list):
        return set().union(*(_types(child) for child in node)) if node else set()
    if not isinstance(node, dict):
        return set()
    found = set().union(*(_types(child) for child in node.values())) if node else set()
    kind, module = node.get("__class__"), node.get("__module__")
    if isinstance(kind, str) and isinstance(module, str):
        found.add(f"{module}.{kind}")
    return found


def _column(field: Field) -> dict[str, Any]:
    narrow = {"float32": "float", "int32": "integer"}.get(field.dtype)
    kinds = {"number": "double", "integer": "long", "string": "string", "boolean": "boolean", "datetime": "datetime"}
    return {"type": narrow or kinds[field.type], "name": field.name, "required": not field.nullable}


def _packages(store: Store, model: Model) -> dict[str, str]:
    try:
        return dict(runs.get(store, model.run).environment.packages)
    except Fault:
        return {}
