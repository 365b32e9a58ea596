"""Values to blobs and back: picks the format by the value's type, or the one that is named.

In: what a step returned, from pipelines/. Out: a `Value`, which says how to bring it back; serving/ loads models by it.
No heavy library is imported to choose: a type's name is enough, and whoever made the value has its library loaded.
"""

import functools
from collections.abc import Iterable
from typing import Any

import msgspec

from roadworthy.data.formats import bytestring, npy, npz, onnx, parquet, path, pickled, skops, text, tree
from roadworthy.data.formats.format import Context, Format, Stored
from roadworthy.nouns.errors import Fault, invalid, not_found
from roadworthy.nouns.step import Value
from roadworthy.store.blobs import Blobs
from roadworthy.store.keys import Keys

GROUP = "roadworthy.formats"
BUILT_IN: tuple[Format, ...] = (tree, text, bytestring, parquet, npy, npz, skops, onnx, path, pickled)


def save(
    blobs: Blobs,
    value: Any,
    *,
    format: str | None = None,  # noqa: A002 - what users write: @rw.step(format=...)
    trusted: tuple[str, ...] = (),
    keys: Keys | None = None,
) -> Value:
    """Store a value.

    Args:
        blobs: where to.
        value: a table, a model, an array, JSON values and containers of all these, bytes, text, or a path.
        format: a format's name; None chooses by type.
        trusted: type names that a model may contain beyond those trusted by default; the `Value` remembers them,
            in the record beside the digest and not in the bytes, so whoever replaces bytes cannot add to them.
        keys: signs what only we may load again (pickle).

    Raises:
        Fault: invalid when no format takes it, or it would not come back as it is.
    """
    chosen = _named(format) if format else _fitting(value)
    context = _context(blobs, trusted, keys)
    with blobs.new() as temporary:
        written = chosen.write(value, temporary, context)
        kept = blobs.adopt(temporary)
    meta = dict(written.meta)
    if trusted:
        meta["trusted"] = list(trusted)
    if chosen is pickled:
        meta.update(pickled.sign(kept.digest, keys))
    return Value(
        format=chosen.NAME,
        digest=kept.digest,
        size=kept.size,
        type=written.type,
        content=written.content or kept.digest,
        meta=meta,
    )


def load(blobs: Blobs, value: Value, *, trusted: tuple[str, ...] = (), keys: Keys | None = None) -> Any:
    """Bring a stored value back.

    Args:
        blobs: where from.
        value: as `save` returned it.
        trusted: type names that a model may contain beyond those trusted by default and those named when saving.
        keys: verifies the signature of what only we may load (pickle).

    Raises:
        Fault: not found when its blob is gone; invalid when the blob is damaged; refused when it holds types that
            nobody trusted, or a signature does not hold.
    """
    stored = Stored(
        value=value, path=lambda: blobs.file(value.digest), content=lambda: blobs.get(value.digest)
    )  # fmt: skip
    try:
        return _named(value.format).read(stored, _context(blobs, (*trusted, *value.meta.get("trusted", ())), keys))
    except Fault as fault:
        raise Fault(
            fault.code, fault.what, where=fault.where or value.digest, fix=fault.fix, detail=fault.detail
        ) from fault


def names() -> list[str]:
    """The names of all formats, strangers' plugins included."""
    return [each.NAME for each in (*BUILT_IN, *_plugins())]


def _context(blobs: Blobs, trusted: tuple[str, ...], keys: Keys | None) -> Context:
    return Context(
        trusted=trusted,
        keys=keys,
        keep=functools.partial(save, blobs, trusted=trusted, keys=keys),
        fetch=functools.partial(load, blobs, trusted=trusted, keys=keys),
        unpacked=blobs.folder / "unpacked",
    )


def _fitting(value: Any) -> Format:
    found = _first(BUILT_IN, value) or _first(_plugins(), value)
    if found is None:
        kind = type(value)
        raise invalid(
            f"no format stores a value of type {kind.__module__}.{kind.__qualname__}",
            fix="return a table, an array, a scikit-learn or ONNX model, JSON values, bytes, text or a path; "
            'or name a format, such as @rw.step(format="pickle"), which only this store can load again',
        )
    return found


def _first(formats: Iterable[Format], value: Any) -> Format | None:
    return next((each for each in formats if each.AUTOMATIC and each.takes(value)), None)


def _named(name: str) -> Format:
    found = next((each for each in BUILT_IN if name == each.NAME), None)
    found = found or next((each for each in _plugins() if name == each.NAME), None)
    if found is not None:
        return found
    raise not_found(f"there is no format called {name!r}", fix=f"there are {', '.join(names())}")


@functools.cache
def _plugins() -> tuple[Format, ...]:
    """Formats of other packages; looking for them takes a while, so only when none of ours will do."""
    import importlib.metadata

    return tuple(entry.load() for entry in importlib.metadata.entry_points(group=GROUP))


def parts(value: Value) -> list[Value]:
    """The values stored inside a value (a tuple of tables, say), for whoever must follow every blob."""
    found = [msgspec.convert(part, Value) for part in value.meta.get("parts", ())]
    return found + [inner for part in found for inner in parts(part)]
