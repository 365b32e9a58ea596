"""Annotations from values that were seen: as one writes them, with the import each needs.

In: what was seen of a value. Out: `Typed`, empty where nothing is evident. Called by `steps.py`.
"""

from collections.abc import Iterable, Mapping

from roadworthy.notebooks.convert.plan import Typed
from roadworthy.notebooks.convert.seen import Value

_PLAIN = frozenset({"int", "float", "str", "bool", "list", "tuple", "dict", "set", "bytes"})
_KNOWN = {
    "pandas.DataFrame": ("pandas", "pd", "DataFrame"),
    "pandas.Series": ("pandas", "pd", "Series"),
    "pandas.Index": ("pandas", "pd", "Index"),
    "numpy.ndarray": ("numpy", "np", "ndarray"),
}
ANY = Typed("Any", ("from typing import Any",))


def of_value(value: Value | None, modules: Mapping[str, str]) -> Typed:
    """The annotation of a value.

    Args:
        value: as seen; None when it was not.
        modules: what the notebook's imports bind, whose aliases are used.
    """
    if value is None:
        return Typed()
    kind = value.type
    if kind in _PLAIN:
        return Typed(kind)
    if kind.startswith("numpy.float") or kind in {"numpy.double", "numpy.longdouble"}:
        return Typed("float")
    if kind.startswith(("numpy.int", "numpy.uint", "numpy.long")):
        return Typed("int")
    if kind in {"numpy.bool", "numpy.bool_"}:
        return Typed("bool")
    if kind in _KNOWN:
        module, alias, name = _KNOWN[kind]
        bound = next((b for b, m in modules.items() if m == module), None)
        return Typed(f"{bound or alias}.{name}", () if bound else (f"import {module} as {alias}",))
    if value.items and kind.startswith("__main__."):
        return Typed()
    module, _, name = kind.rpartition(".")
    if module == "__main__":
        return Typed(name)
    if not module or not name.isidentifier() or any(part.startswith("_") for part in module.split(".")):
        return Typed()
    bound = next((b for b, m in modules.items() if m == kind), None)
    return Typed(bound or name, () if bound else (f"from {module} import {name}",))


def of_dict(parts: Iterable[Typed]) -> Typed:
    """The annotation of a dict of several values."""
    found = list(parts)
    texts = {part.text for part in found}
    if len(texts) == 1 and "" not in texts:
        return Typed(f"dict[str, {found[0].text}]", found[0].imports)
    return Typed("dict[str, Any]", ANY.imports)


def of_param(value: object) -> Typed:
    """The annotation of a parameter."""
    if isinstance(value, list):
        kinds = {type(part).__name__ for part in value}
        return Typed(f"list[{kinds.pop()}]" if len(kinds) == 1 else "list")
    return Typed(type(value).__name__)
