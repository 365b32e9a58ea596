"""Forward: a run of ours, sent to a tracking server that speaks MLflow's protocol.

In: a finished run, and where it is to go. Out: the id that it got there, noted on the run, so that nothing is sent
twice. A run that was sent half comes whole with the next call: what the server has of it is found by its tag,
parameters and tags are set again, and equal points are one. Called when a run ends in a project that names a tracking
server, and by `rw export`.
"""

import sys
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec
from blake3 import blake3

from roadworthy.nouns.errors import Code, Fault
from roadworthy.nouns.run import Run
from roadworthy.registry import artifacts, groups, history, labels, metrics, run_rows, runs
from roadworthy.registry.remote import Remote
from roadworthy.store.store import Store

T = TypeVar("T")
# What the run is called here, on the run there.
OURS = "roadworthy.run"
SENT = "roadworthy.sent."
BATCH_POINTS_MAX = 1_000
BATCH_LABELS_MAX = 100
VALUE_LENGTH_MAX = 6_000
AT_ONCE_MAX = 1_000
# The ended runs of a project that have not the tag of having been sent; the oldest first.
_UNSENT = """
SELECT r.id FROM runs r
WHERE r.project = :project AND r.status IN ('finished', 'failed', 'killed') AND r.stage = 'active'
    AND NOT EXISTS (SELECT 1 FROM run_tags t WHERE t.run = r.seq AND t.key = :mark)
ORDER BY r.seq LIMIT :limit
"""
_STATUS = {
    "running": "RUNNING",
    "scheduled": "SCHEDULED",
    "finished": "FINISHED",
    "failed": "FAILED",
    "killed": "KILLED",
}


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """What came of sending a run.

    Args:
        run: its id there.
        again: whether it had been sent before, and nothing was done.
        files: how many artifacts went.
        kept_here: why artifacts did not go; empty when they did.
    """

    run: str
    location: str = ""
    again: bool = False
    files: int = 0
    kept_here: str = ""


def send(store: Store, remote: Remote, run_id: str, *, group: str = "") -> Sent:
    """Send a run with all it has.

    Args:
        group: the experiment there; by default what the run's group is called here.

    Raises:
        Fault: not found for an unknown run; what the server refuses; unavailable when it does not answer.
    """
    run = runs.get(store, run_id)
    mark = _mark(remote)
    if there := run.tags.get(mark):
        found = remote.get("runs/get", run_id=there).get("run", {}).get("info") or {}
        return Sent(run=there, location=found.get("artifact_uri") or "", again=True)
    info = _begin(remote, run, _experiment(remote, group or _group(store, run)))
    there, location = str(info["run_id"]), str(info.get("artifact_uri") or "")
    _log(store, remote, run.id, there)
    files, kept_here = _files(store, remote, run, location)
    ended = {} if run.ended_at is None else {"end_time": round(run.ended_at * 1000)}
    remote.post("runs/update", {"run_id": there, "status": _STATUS[run.status], **ended})
    runs.amend(store, run.id, tags={mark: there})
    return Sent(run=there, location=location, files=files, kept_here=kept_here)


def send_all(store: Store, uri: str, project: str) -> list[str]:
    """Send each ended run of a project that has not been sent; what went wrong, a line each.

    Args:
        uri: where to; nothing is sent when it is empty.

    A server that does not answer ends the round: what was not sent is sent with the next run.
    """
    if not uri:
        return []
    remote = Remote(uri)
    with store.read() as reader:
        unsent = [str(row[0]) for row in reader.rows(_UNSENT, project=project, mark=_mark(remote), limit=AT_ONCE_MAX)]
    problems: list[str] = []
    try:
        for run_id in unsent:
            try:
                sent = send(store, remote, run_id)
            except Fault as problem:
                problems.append(f"run {run_id[:12]} is kept here and will be sent later: {problem.what}")
                if problem.code is Code.UNAVAILABLE:
                    break
            else:
                problems += [f"run {run_id[:12]}: {sent.kept_here}"] if sent.kept_here else []
    finally:
        remote.close()
    return problems


def _mark(remote: Remote) -> str:
    """The tag that says of a run what it is called on this server."""
    return SENT + blake3(remote.address.url.encode()).hexdigest(length=6)


def _log(store: Store, remote: Remote, run_id: str, there: str) -> None:
    with store.read() as reader:
        row = run_rows.find(reader, run_id)
        assert row is not None
        params = labels.of_run(reader, "params", row.seq)
        for part in _parts(list(params.items()), BATCH_LABELS_MAX):
            remote.post("runs/log-batch", {"run_id": there, "params": _pairs(part)})
        for key in metrics.latest(store, run_id):
            for points in _parts(history.whole(reader, row.seq, key), BATCH_POINTS_MAX):
                said = [{"key": key, "value": _number(v), "timestamp": at, "step": step} for at, step, v in points]
                remote.post("runs/log-batch", {"run_id": there, "metrics": said})


def _group(store: Store, run: Run) -> str:
    with store.read() as reader:
        row = run_rows.find(reader, run.id)
        group = groups.find(reader, row.group_id, tags=False) if row is not None else None
    return group.name if group is not None else groups.DEFAULT


def _experiment(remote: Remote, name: str) -> str:
    try:
        found = remote.get("experiments/get-by-name", experiment_name=name)
        return str(found["experiment"]["experiment_id"])
    except Fault as problem:
        if problem.code is not Code.NOT_FOUND:
            raise
    return str(remote.post("experiments/create", {"name": name})["experiment_id"])


def _begin(remote: Remote, run: Run, experiment: str) -> dict[str, Any]:
    """The run there: the one that was begun before, or a new one."""
    search = {"experiment_ids": [experiment], "filter": f"tags.\"{OURS}\" = '{run.id}'", "max_results": 1}
    found = remote.post("runs/search", search).get("runs") or []
    tags = {**{k: v for k, v in run.tags.items() if not k.startswith("roadworthy.")}, OURS: run.id}
    if found:
        info: dict[str, Any] = found[0]["info"]
        for part in _parts(list(tags.items()), BATCH_LABELS_MAX):
            remote.post("runs/log-batch", {"run_id": info["run_id"], "tags": _pairs(part)})
        return info
    body: dict[str, Any] = {
        "experiment_id": experiment, "run_name": run.name, "user_id": run.actor,
        "start_time": round(run.started_at * 1000), "tags": _pairs(list(tags.items())),
    }  # fmt: skip
    made: dict[str, Any] = remote.post("runs/create", body)["run"]["info"]
    return made


def _files(store: Store, remote: Remote, run: Run, location: str) -> tuple[int, str]:
    kept = artifacts.listing(store, run.id)
    if not kept:
        return 0, ""
    parts = urlsplit(location)
    if parts.scheme != "mlflow-artifacts":
        return 0, f"its {len(kept)} files stay here: the server keeps artifacts at {location[:100]}, not behind itself"
    for artifact in kept:
        remote.upload(f"{parts.path.strip('/')}/{artifact.path}", store.blobs.file(artifact.digest))
    return len(kept), ""


def _pairs(labels_: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"key": key, "value": value[:VALUE_LENGTH_MAX]} for key, value in labels_]


def _number(value: float) -> float | str:
    """As MLflow's databases take it: infinities as the largest doubles, NaN by name."""
    if value != value:  # noqa: PLR0124 - the one number that is not itself
        return "NaN"
    return max(-sys.float_info.max, min(sys.float_info.max, value))


def _parts(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
