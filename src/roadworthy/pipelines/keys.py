"""Keys: equal keys mean that a step would compute the same from the same; what differs is said in words.

In: what a step reaches, its inputs' content, parameters, library versions, Python and the seed. Out: named parts, the
key over them, and the difference between two sets of parts. Called by the planner.
"""

import datetime as dt
import os
import re
import sys
from collections.abc import Mapping
from typing import Any

import msgspec
from blake3 import blake3

from roadworthy.nouns.snapshot import Snapshot
from roadworthy.nouns.step import Step, Value
from roadworthy.pipelines.graph import Node
from roadworthy.pipelines.reach import Reach, Reached

# Raised when the worker hands over or stores values in another way, so that old results are not taken for new ones.
VERSION = "1"
SHOWN_LENGTH_MAX = 120
_HIDDEN = ("module ", "import ", "rules ")
_FAILED = "absent"


class Material(msgspec.Struct, frozen=True, kw_only=True):
    """What a step's key is made of, and the texts and files that are looked at beside it.

    Args:
        parts: by name.
        paths: texts in the code that may name files.
        unsure: why the whole project's code counts; empty when it does not.
    """

    parts: dict[str, str]
    paths: tuple[str, ...] = ()
    unsure: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """BLAKE3 over the parts."""
        lines = "\n".join(f"{name}={value}" for name, value in sorted(self.parts.items()))
        return blake3(lines.encode("utf-8", "surrogatepass")).hexdigest()


def of_code(reach: Reach, reached: Reached, versions: Mapping[str, str], *, step: Step | None = None) -> Material:
    """The parts that come from code alone: known before anything has run."""
    parts = {
        "rules roadworthy": VERSION,
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
        "machine": f"{sys.platform} {os.uname().machine}",
    }
    parts |= reached.parts
    parts |= {f"library {name}": version for name, version in versions.items()}
    parts |= {f"variable {name}": _variable(name) for name in reached.variables}
    if reached.dynamic:
        parts["whole project"] = reach.sources.digest()
    if step is not None:
        parts["step"] = f"{step.module}.{step.name}"
        if step.format:
            parts["format"] = step.format
        if step.trusted:
            parts["trusted"] = ", ".join(sorted(step.trusted))
    return Material(parts=parts, paths=reached.paths, unsure=reached.dynamic)


def with_inputs(
    code: Material, node: Node, inputs: Mapping[str, Value | Snapshot], params: Mapping[str, Any], seed: int
) -> Material:
    """The parts of a step whose inputs are known.

    Args:
        inputs: argument name to the value or snapshot it gets.
        params: effective parameters; only those the step takes count.
    """
    parts = dict(code.parts)
    parts["seed"] = str(seed)
    for argument in node.arguments:
        if argument.kind == "param":
            parts[f"param {argument.name}"] = shown(params[argument.name])
        elif argument.kind != "default":
            given = inputs[argument.name]
            parts[f"input {argument.name}"] = (
                f"{given.id} as {argument.arrives}" if isinstance(given, Snapshot) else content(given)
            )
    return msgspec.structs.replace(code, parts=parts)


def content(value: Value) -> str:
    """What a value says, whatever its bytes, and as what it comes back."""
    return f"{value.content or value.digest} {value.format} {value.type}"


def seed_of(seed: int, step: str) -> int:
    """A step's own seed: 32 bits of BLAKE3 over the run's seed and the step's name."""
    return int.from_bytes(blake3(f"{seed}:{step}".encode()).digest(length=4))


def shown(value: Any) -> str:
    """A parameter as text: the same text means the same value, of the same type."""
    text = msgspec.json.encode(value, enc_hook=_strange, order="deterministic").decode()
    # 1 and 1.0 are told apart, and so are 0.1 and "0.1"; a date is not the text of it.
    if isinstance(value, dt.date | dt.time):
        text = f"{type(value).__name__} {text}"
    elif isinstance(value, float):
        text = repr(value)
    if len(text) > SHOWN_LENGTH_MAX:
        text = f"{text[: SHOWN_LENGTH_MAX - 40]}… {blake3(text.encode()).hexdigest()[:32]}"
    return text


def differences(before: Mapping[str, str], now: Mapping[str, str], step: Step | None = None) -> list[str]:
    """What changed from one set of parts to another, most telling first; empty when nothing did."""
    own = f"function {step.module}.{step.name}" if step else ""
    changed = [name for name in {*before, *now} if before.get(name) != now.get(name)]
    plain = sorted(name for name in changed if not name.startswith(_HIDDEN) and name != "whole project")
    said = [_said(name, before.get(name), now.get(name), own) for name in plain]
    told = {name.partition(" ")[2].rpartition(".")[0] for name in plain}
    for name in sorted(set(changed) - set(plain)):
        kind, _, rest = name.partition(" ")
        if kind == "module" and rest not in told:
            said.append(f"code that runs when {rest} is imported changed")
        elif kind == "import" and not any(rest.rpartition(".")[0] == module for module in told):
            said.append(f"{rest} is now {now.get(name, 'nothing')}, before {before.get(name, 'nothing')}")
        elif kind == "rules":
            said.append("Roadworthy computes keys in another way")
    if "whole project" in changed and not said:
        said.append("code of the project changed")
    return said


def _said(name: str, before: str | None, now: str | None, own: str) -> str:
    kind, _, rest = name.partition(" ")
    if name == own:
        return "its code changed"
    if kind in {"function", "class", "constant"}:
        what = "helper" if kind == "function" else kind
        if before is None or now is None:
            return f"it {'now' if now else 'no longer'} uses {what} {rest}"
        return f"constant {rest} changed" if kind == "constant" else f"code of {what} {rest} changed"
    if kind == "library":
        return f"{rest} {_version(before)} -> {_version(now)}"
    if kind == "param":
        return f"params.{rest} {before or 'unset'} -> {now or 'unset'}"
    if kind == "input":
        return f"input {rest} changed" if before else f"input {rest} is new"
    if kind == "variable":
        return f"environment variable {rest} changed"
    if name in {"python", "machine", "seed", "format", "trusted"}:
        return f"{name} {before or 'unset'} -> {now or 'unset'}"
    return f"{name} changed"


def _version(version: str | None) -> str:
    if version is None:
        return "none"
    # A library installed in place has a digest beside its version; it means nothing to people.
    return re.sub(r"\b[0-9a-f]{32}\b", "(local code)", version)


def _variable(name: str) -> str:
    """A digest, not the value: it may be a secret."""
    value = os.environ.get(name)
    return _FAILED if value is None else blake3(value.encode("utf-8", "surrogateescape")).hexdigest()[:32]


def _strange(value: Any) -> str:
    return f"{type(value).__name__} {value!r}"
