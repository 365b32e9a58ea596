"""scikit-learn estimators by skops: no pickle, and nothing is loaded but types that somebody trusts.

The archive is rewritten so that equal models are equal bytes: skops names members and nodes after addresses in memory,
and the zip after the clock. Classes of scikit-learn, and the few of SciPy and pandas that its estimators hold, are
trusted, and two functions that these hold; other functions and everything else must be named.
"""

import importlib
import io
import json
import re
import zipfile
from pathlib import Path
from typing import Any

from blake3 import blake3

from roadworthy.data.formats.format import Context, Stored, Written
from roadworthy.nouns.errors import invalid, refused

NAME = "skops"
AUTOMATIC = True
_EPOCH = (1980, 1, 1, 0, 0, 0)
_SCHEMA = "schema.json"
# Classes, by where they are: constructing one of these does no more than set attributes. Not all of a package:
# numpy.memmap opens files, pandas.HDFStore too, and sklearn's testing and data-set modules write and download.
_TRUSTED = re.compile(
    r"sklearn\.(?!(?:\w+\.)*(?:externals|tests|conftest|datasets|_testing|experimental)\b)[\w.]+\.[A-Za-z_]\w*"
    r"|scipy\.(?:sparse|interpolate|stats)\.[\w.]*\w"
    r"|pandas\.core\.(?:dtypes|indexes|arrays|frame|series)\.[\w.]*\w"
)
# Histogram gradient boosting with categorical features holds a partial of this check. A partial does nothing by itself,
# and the function in it is asked about by its own name.
_TRUSTED_BY_NAME = frozenset({"functools.partial", "sklearn.utils.validation.check_array"})


def takes(value: Any) -> bool:
    return any(base.__module__.startswith("sklearn.") for base in type(value).__mro__)


def write(value: Any, path: Path, context: Context) -> Written:
    import skops.io

    try:
        content = skops.io.dumps(value)
    except Exception as problem:
        raise invalid(
            f"skops cannot store this model: {type(problem).__name__}: {problem}",
            where=_type_of(value),
            fix='name another format: @rw.step(format="pickle") if you must; only this store can load it again',
        ) from problem
    canonical, digest = _canonical(content)
    # Told now rather than when somebody wants to load it.
    _check(canonical, context.trusted, _type_of(value))
    path.write_bytes(canonical)
    return Written(type=_type_of(value), content=digest)


def read(stored: Stored, context: Context) -> Any:
    import skops.io

    content = stored.content()
    trusted = _check(content, context.trusted, stored.value.type)
    return skops.io.loads(content, trusted=trusted)


def _check(content: bytes, named: tuple[str, ...], where: str) -> list[str]:
    """The types in the archive that skops wants to be told to trust, when all of them may be."""
    import skops.io

    try:
        asked = skops.io.get_untrusted_types(data=content)
    except Exception as problem:
        raise invalid(f"not a skops archive: {type(problem).__name__}: {problem}", where=where) from None
    known = _TRUSTED_BY_NAME.union(named)
    strange = sorted(name for name in asked if name not in known and not _is_trusted_class(name))
    if strange:
        listed = ", ".join(f'"{name}"' for name in strange)
        raise refused(
            f"the model contains types that nobody has trusted: {', '.join(strange)}",
            where=where,
            fix=f"look at their code, then name them: trusted = [{listed}] under [model], "
            f"or @rw.step(trusted=[{listed}])",
            detail={"untrusted": strange},
        )
    return list(asked)


def _is_trusted_class(name: str) -> bool:
    if not _TRUSTED.fullmatch(name):
        return False
    module, _, attribute = name.rpartition(".")
    try:
        return isinstance(getattr(importlib.import_module(module), attribute), type)
    except (ImportError, AttributeError):
        return False


def _canonical(content: bytes) -> tuple[bytes, str]:
    """The archive with names and ids counted in order of appearance, and a digest of what it says."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    schema = json.loads(members.pop(_SCHEMA))
    numbers: dict[int, int] = {}
    files: dict[str, str] = {}
    _renumber(schema, numbers, files)
    members = {files.get(name, name): _clean(name, data) for name, data in members.items()}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, data in [*sorted(members.items()), (_SCHEMA, json.dumps(schema).encode())]:
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr = 0o600 << 16
            archive.writestr(entry, data)
    digests = {name: blake3(data).hexdigest() for name, data in members.items()}
    said = _without_ids(schema, digests)
    said.pop("_skops_version", None)
    return out.getvalue(), blake3(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _renumber(node: Any, numbers: dict[int, int], files: dict[str, str]) -> None:
    if isinstance(node, dict):
        if isinstance(node.get("__id__"), int):
            node["__id__"] = numbers.setdefault(node["__id__"], len(numbers) + 1)
        if isinstance(node.get("file"), str) and "__loader__" in node:
            old = node["file"]
            node["file"] = files.setdefault(old, f"{len(files):06d}{Path(old).suffix}")
        for child in node.values():
            _renumber(child, numbers, files)
    elif isinstance(node, list):
        for child in node:
            _renumber(child, numbers, files)


def _without_ids(node: Any, digests: dict[str, str]) -> Any:
    """What a schema says: without ids (which objects happened to be shared), and with contents for file names."""
    if isinstance(node, dict):
        kept = {key: _without_ids(child, digests) for key, child in node.items() if key != "__id__"}
        if isinstance(node.get("file"), str) and "__loader__" in node:
            kept["file"] = digests.get(node["file"], node["file"])
        return kept
    if isinstance(node, list):
        return [_without_ids(child, digests) for child in node]
    return node


def _clean(name: str, data: bytes) -> bytes:
    """A member without what lay in memory between the fields of a structured array (the nodes of trees)."""
    import numpy as np

    if not name.endswith(".npy"):
        return data
    array = np.load(io.BytesIO(data), allow_pickle=False)
    if not array.dtype.names:
        return data
    clean = np.zeros(array.shape, array.dtype)
    for field in array.dtype.names:
        clean[field] = array[field]
    out = io.BytesIO()
    np.save(out, clean, allow_pickle=False)
    return out.getvalue()


def _type_of(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"
