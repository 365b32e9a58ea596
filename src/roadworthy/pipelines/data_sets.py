"""The data of a run: what each data set is now, as a snapshot, and whether it keeps its contract.

In: a project's data sets. Out: snapshots and findings. A file that has kept its size and time is not read again; a
source function is asked again whenever it takes `now`, or anything about it has changed. Called by the runner.
"""

import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from blake3 import blake3

from roadworthy.data import sensitive, snapshots, sources
from roadworthy.gates.measures import quality
from roadworthy.nouns.errors import Fault, invalid
from roadworthy.nouns.evidence import Finding
from roadworthy.nouns.project import Contract, Data, Place
from roadworthy.nouns.snapshot import Snapshot
from roadworthy.pipelines import cache, keys
from roadworthy.pipelines.cache import Kept
from roadworthy.pipelines.keys import Material
from roadworthy.pipelines.orders import Result
from roadworthy.pipelines.planner import Planner
from roadworthy.pipelines.reach import Reach
from roadworthy.store.store import Store

# Raised when contracts are judged in another way.
CONTRACT_VERSION = "1"
FILES_MAX = 200_000


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What can be told of a data set without asking its source: its snapshot, if nothing about it has changed."""

    name: str
    snapshot: Snapshot | None
    why: str
    material: Material
    ask: bool = False


def look(planner: Planner, name: str) -> Known:
    """What a data set is, as far as it can be told at once.

    Raises:
        Fault: not found when there is no such file or function.
    """
    store, place = planner.store, planner.place
    data = place.project.data[name]
    if name in planner.options.pinned:
        pinned = snapshots.get(store, planner.options.pinned[name], place.project.name)
        return Known(name=name, snapshot=pinned, why="pinned", material=Material(parts={}))
    if data.python is None:
        material, why = _of_files(place, name, data)
    else:
        material, why = _of_function(planner, data.python)
    forced = planner.options.force and data.python is not None and not planner.options.only
    kept = None if forced else cache.get(store, material.key)
    if kept is not None and material.parts.get("steady") != "no":
        obstacle = cache.obstacle(store, kept, place.root, material.paths if data.python else ())
        if not obstacle:
            try:
                found = snapshots.get(store, kept.snapshot, place.project.name)
                return Known(name=name, snapshot=found, why=why, material=material)
            except Fault:
                obstacle = "its snapshot is gone"
    return Known(name=name, snapshot=None, why="", material=material, ask=data.python is not None)


def last(planner: Planner, name: str) -> Snapshot | None:
    """The newest snapshot of a data set, whatever has become of it since."""
    try:
        return snapshots.get(planner.store, name, planner.place.project.name)
    except Fault:
        return None


def read(planner: Planner, known: Known) -> Snapshot:
    """Take a snapshot of a data set of files."""
    taken = sources.resolve(planner.store, planner.place, known.name, params=planner.params)
    if known.material.parts.get("steady") != "no":
        _keep(planner, known, taken, {}, ())
    return taken


def asked(planner: Planner, known: Known, result: Result, since_ns: int) -> Snapshot:
    """Take what the worker brought of a source function."""
    if result.failure is not None:
        raise result.failure.fault()
    assert result.snapshot is not None
    root = planner.place.root
    named = {*result.read, *result.loaded, *cache.named(root, known.material.paths, result.written)}
    files = cache.marks(root, named, since_ns=since_ns, now_ns=time.time_ns())
    _keep(planner, known, result.snapshot, files, result.written)
    return result.snapshot


def check(store: Store, place: Place, name: str, snapshot: Snapshot) -> tuple[Finding, ...]:
    """What a data set's contract says about a snapshot; kept, for the same snapshot says the same again.

    Raises:
        Fault: invalid when the contract cannot be applied.
    """
    contract = place.project.data[name].contract
    if contract is None:
        return ()
    masked = sensitive.sensitive_columns(place.project)
    material = Material(parts=_contract_parts(store, contract, snapshot, masked))
    kept = cache.get(store, material.key)
    if kept is not None:
        return kept.findings
    findings = quality.check(store, snapshot, contract, sensitive=masked)
    record = Kept(
        key=material.key, step=f"contract:{name}", parts=material.parts, at=store.clock.now(), findings=findings
    )
    cache.put(store, place.project.name, [record])
    return findings


def broken(findings: Mapping[str, Iterable[Finding]], *, level: str = "error") -> list[tuple[str, Finding]]:
    """The rules that did not hold, with their data set."""
    return [(name, f) for name, found in findings.items() for f in found if not f.passed and f.level == level]


def refusal(findings: Mapping[str, Iterable[Finding]]) -> str:
    """One line that says which rules stop a run."""
    rules = [f"{name}: {finding.rule}" for name, finding in broken(findings)]
    more = f" and {len(rules) - 3} more" if len(rules) > 3 else ""
    return f"the data breaks its contract: {'; '.join(rules[:3])}{more}"


def _contract_parts(store: Store, contract: Contract, snapshot: Snapshot, masked: set[str]) -> dict[str, str]:
    parts = {
        "contract": msgspec.json.encode(contract, order="deterministic").decode(),
        "snapshot": snapshot.id,
        "sensitive": ",".join(sorted(masked)),
        "rules": CONTRACT_VERSION,
    }
    if contract.fresh is not None:
        parts["now"] = repr(store.clock.now())  # how old something is changes by itself
    return parts


def _of_files(place: Place, name: str, data: Data) -> tuple[Material, str]:
    """The key of files: where they are looked for, and the names, sizes and times of what is there."""
    if data.path is None:
        raise invalid("a data set needs `path` or `python`", where=f"[data.{name}]")
    listing, steady = _listing(sources.matching(data.path, place.root))
    contract = data.contract
    types = {c: rule.type for c, rule in contract.columns.items()} if contract else {}
    parts = {
        "project": place.project.name,
        "data": name,
        "path": data.path,
        "files": listing,
        "types": msgspec.json.encode(types, order="deterministic").decode(),
        "steady": "yes" if steady else "no",
    }
    return Material(parts=parts), "its files have their old sizes and times"


def _of_function(planner: Planner, function: str) -> tuple[Material, str]:
    """The key of a source function: its code and all it reaches, parameters it takes, and the time if it takes that."""
    module, _, name = function.partition(":")
    if planner.sources.path(module) is None:
        raise invalid(f"there is no module `{module}` in the project", where=f'python = "{function}"')
    reach = Reach(planner.sources, module)
    found = next((f for f in reach.facts(module).functions if f.name == name), None)
    reached = reach.of([(module, name)])
    versions = planner.libraries.versions(reached.libraries, reached.named)
    material = keys.of_code(reach, reached, versions)
    parts = {**material.parts, "source": function, "project": planner.place.project.name}
    offered = planner.params
    takes = set(offered) if found is None or found.variadic else set(found.arguments)
    parts |= {f"param {p}": keys.shown(offered[p]) for p in sorted(takes) if p in offered}
    why = "its function takes no `now`, and its code is unchanged; --force asks it again"
    if found is None or found.variadic or "now" in found.arguments:
        parts["now"] = repr(planner.store.clock.now())
        why = "asked at this very time before"
    return msgspec.structs.replace(material, parts=parts), why


def _listing(paths: list[Path]) -> tuple[str, bool]:
    """A digest over names, sizes and times of files, and whether all are old enough for their times to be relied on."""
    hasher = blake3()
    newest = 0
    for count, path in enumerate(_files(paths)):
        if count > FILES_MAX:
            return "", False
        stat = path.stat()
        newest = max(newest, stat.st_mtime_ns, stat.st_ctime_ns)
        # The time of the last change of any kind cannot be set back, as that of the content can.
        said = f"{path}\0{stat.st_size}\0{stat.st_mtime_ns}\0{stat.st_ctime_ns}\0{stat.st_ino}\n"
        hasher.update(said.encode("utf-8", "surrogateescape"))
    return hasher.hexdigest(), time.time_ns() - newest > cache.RACY_NS


def _files(paths: list[Path]) -> Iterable[Path]:
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        for folder, folders, names in os.walk(path):
            folders.sort()
            yield from (file for name in sorted(names) if (file := Path(folder, name)).exists())


def _keep(planner: Planner, known: Known, taken: Snapshot, files: dict[str, Any], written: tuple[str, ...]) -> None:
    record = Kept(
        key=known.material.key,
        step=f"data:{known.name}",
        parts=known.material.parts,
        at=planner.store.clock.now(),
        snapshot=taken.id,
        files=files,
        written=written,
    )
    cache.put(planner.store, planner.place.project.name, [record])
