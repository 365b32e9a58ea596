"""Replay history down the road: served rows, late labels and the loop's turns, on a simulated clock.

In: a function of the project that yields `(moment, rows, labels)` in order of time: rows are sent, and labels known, at
the moment; the rows say themselves when they happened. Out: the rows answered by the live target over real HTTP, the
labels added when they were known, turns of the loop at the times it would have turned, and a table of what happened.
Called by `rw operate --replay`, for a demonstration or to try a road on last year's data.

How far it has come is journalled, so that a replay which is killed carries on: batches that were served are not served
again, and of the batch in progress those rows are left out that are in the inference log, whose request ids say which
rows they are. The source is read from its start again, so it must yield the same batches each time.
"""

import datetime as dt
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from blake3 import blake3

from roadworthy.data import sources
from roadworthy.nouns.errors import conflict, invalid, refused, unavailable
from roadworthy.nouns.project import Place, seconds
from roadworthy.operate import journal, labels, loop, periods, served, windows
from roadworthy.operate.journal import Action, Replay, State
from roadworthy.operate.periods import Period
from roadworthy.operate.sender import CHUNK_ROWS_MAX, Chunk, Sender
from roadworthy.operate.windows import Grid
from roadworthy.registry import models
from roadworthy.releases import grounds, releases
from roadworthy.store.clock import SimulatedClock, SystemClock
from roadworthy.store.store import Store

if TYPE_CHECKING:
    import pandas as pd

# A release under way is looked at when it may have answered as many rows as it is judged by, or at this many sent.
LOOK_ROWS_MAX = 5_000
# The inference log is written in the background; this long after its flush a row must have come, or it was dropped.
FLUSH_PATIENCE_S = 20.0
FLUSH_GRACE_S = 1.0
POLL_S = 0.1

Progress = Callable[[str], None]
_machine = SystemClock()


class Batch(NamedTuple):
    """One step of history.

    Args:
        moment: when it is sent, by the simulated clock, seconds since the epoch.
        begins: when the first of its rows happened; at the moment itself when there are none.
        reaches: up to when what came is known: the later of the moment and its last row; when there are none, -inf.
        rows: those that came.
        labels: what was known by then of this and earlier rows.
    """

    moment: float
    begins: float
    reaches: float
    rows: "pd.DataFrame"
    labels: "pd.DataFrame | None"


class _Trip(msgspec.Struct, kw_only=True):
    """What a replay works with while it runs."""

    store: Store
    place: Place
    hold: loop.Hold
    # one turn of the loop at the end of each of these
    turns: Grid
    # what is told about: as long as the longest window of a monitor
    periods: Grid
    replay: Replay
    tell: Callable[[Action], None]
    say: Progress
    period: Callable[[Period], None]
    sender: Sender | None = None
    # rows sent since the release under way was last looked at
    unlooked: int = 0
    # rows that never came into the log, so that they are not waited for again
    dropped: int = 0
    sent: int = 0

    @property
    def target(self) -> str:
        return grounds.default(self.place)

    @property
    def project(self) -> str:
        return self.place.project.name


def replay(
    store: Store,
    place: Place,
    source: str,
    *,
    every_s: float | None = None,
    tell: Callable[[Action], None] | None = None,
    progress: Progress | None = None,
    period: Callable[[Period], None] | None = None,
) -> list[Period]:
    """Replay a source to its end, or on from where it was stopped.

    Args:
        store: its clock must be a `SimulatedClock`; it is moved to the moment of each batch.
        source: `module:function` of the project; the function may take parameters of the project by name.
        every_s: time from turn to turn; `[operate] every` when None.
        tell, progress, period: told each action, what is being done, and each period as it ends.

    Returns:
        Every period of the replay; none when it was finished before.

    Raises:
        Fault: conflict when another process runs the loop; invalid when the source yields something else; refused
            when no model gets on the road at all.
    """
    _check(place)
    if not isinstance(store.clock, SimulatedClock):
        raise invalid("a replay moves the clock, and this store's is real", fix="open the store with a simulated clock")
    width = every_s or seconds(place.project.operate.every)
    with loop.held(store, place) as hold:
        state = journal.load(store, place.project.name)
        if finished(state, source):
            return []
        trip: _Trip | None = None
        reached = -math.inf
        for index, batch in enumerate(_batches(store, place, source)):
            reached = max(reached, batch.reaches)
            if trip is None:
                turns = windows.grid(min(batch.begins, batch.moment), width)
                trip = _Trip(
                    store=store, place=place, hold=hold, turns=turns, periods=_periods(place, turns),
                    replay=_begin(store, place, source, turns.anchor), tell=tell or _silent,
                    say=progress or _silent, period=period or _silent,
                )  # fmt: skip
                store.clock.set(trip.replay.moment)
            if index >= trip.replay.batch:
                _take(trip, index, batch)
        if trip is None:
            raise invalid("the source yielded nothing to replay", where=source)
        return _arrive(trip, reached)


def finished(state: State, source: str) -> bool:
    """Whether a source was replayed to its end before."""
    return state.replay is not None and state.replay.finished and state.replay.source == source


def _periods(place: Place, turns: Grid) -> Grid:
    """Periods of whole turns, long enough that every monitor has a window in each."""
    longest = max((seconds(spec.window) for spec in place.project.monitor.values()), default=0.0)
    return Grid(turns.anchor, turns.width * max(math.ceil(longest / turns.width - 1e-9), 1))


def _check(place: Place) -> None:
    if place.project.serving.time is None:
        raise invalid(
            "rows that are replayed must say when they happened",
            where="[serving]",
            fix='name the column: [serving] time = "…"',
        )


def _begin(store: Store, place: Place, source: str, began: float) -> Replay:
    """The replay as an earlier process left it, or at its beginning."""
    state = journal.load(store, place.project.name)
    if state.replay is not None and state.replay.source == source:
        if state.replay.began != began:
            raise conflict(
                "the source begins at another moment than when its replay began",
                where=source,
                fix="make it yield the same batches each time, or replay another source",
            )
        return state.replay
    name = blake3(f"{source}\n{began}\n{state.turns}".encode()).hexdigest()[:12]
    before = served.count(store.home, grounds.default(place))
    fresh = Replay(source=source, prefix=f"replay-{name}-", began=began, moment=began, before=before)
    journal.save(
        store, msgspec.structs.replace(state, replay=fresh), kind="operate.replay_began", detail={"source": source}
    )
    return fresh


# --- one batch ---


def _take(trip: _Trip, index: int, batch: Batch) -> None:
    """Turn at the ends of all that is over; serve the rows of a batch; add the labels that are known by now."""
    if batch.moment < trip.replay.moment:
        raise invalid(
            "the source goes back in time", where=f"{trip.replay.source}, batch {index}", fix="yield in order"
        )
    # A batch may be sent when it is over: its rows still belong before the turn at that very moment.
    while min(batch.begins, batch.moment) >= trip.turns.end(trip.replay.turn):
        _turn(trip)
    _be_live(trip)
    _clock(trip).set(batch.moment)
    table = batch.rows[_columns(trip, batch.rows)]
    wanted = _unserved(trip, len(table)) if trip.replay.underway else range(len(table))
    _move(trip, moment=batch.moment, underway=True)
    for count in _sender(trip).send(_chunks(f"{trip.replay.prefix}{index}-", table, wanted)):
        loop.still_ours(trip.hold)
        trip.sent += count
        trip.unlooked += count
        _look(trip)
    if batch.labels is not None and len(batch.labels):
        _label(trip, batch.labels)
    _move(trip, batch=index + 1, underway=False, rows=trip.replay.rows + len(table))
    trip.sent = 0


def _chunks(prefix: str, table: "pd.DataFrame", wanted: Sequence[int]) -> list[Chunk]:
    """Requests of neighbouring rows; the id says where in the batch the first of them stands."""
    runs: list[list[int]] = []
    for position in wanted:
        if runs and runs[-1][-1] + 1 == position and len(runs[-1]) < CHUNK_ROWS_MAX:
            runs[-1].append(position)
        else:
            runs.append([position])
    return [Chunk(f"{prefix}{run[0]}", table.iloc[run[0] : run[-1] + 1]) for run in runs]


def _unserved(trip: _Trip, count: int) -> list[int]:
    """The rows of the batch in progress that are not in the inference log, once it has been written."""
    prefix = f"{trip.replay.prefix}{trip.replay.batch}-"
    _machine.sleep(_flush_s(trip) + FLUSH_GRACE_S)
    done = {
        int(request.removeprefix(prefix)) + row for request, row in served.places(trip.store.home, trip.target, prefix)
    }
    trip.sent = len(done)
    if done:
        trip.say(f"{len(done):,} of {count:,} rows of the batch in progress were served before")
    return [position for position in range(count) if position not in done]


def _columns(trip: _Trip, rows: "pd.DataFrame") -> list[str]:
    """What a request carries: the features of whatever is on the road, and the columns that `[serving]` names."""
    serving = trip.place.project.serving
    now = releases.road(trip.store, trip.project, trip.target)
    wanted = [name for name in (serving.key, serving.entity, serving.time) if name]
    for release in now.all:
        wanted += [field.name for field in models.get(trip.store, release.model).signature.inputs]
    return [name for name in dict.fromkeys(wanted) if name in rows.columns]


def _label(trip: _Trip, table: "pd.DataFrame") -> None:
    project = trip.place.project
    assert project.model is not None
    labels.add(trip.store, trip.place, table, at=trip.store.clock.now())


def _look(trip: _Trip) -> None:
    """Give the release under way, if there is one, its next step, once enough was sent to judge it by."""
    coming = releases.road(trip.store, trip.project, trip.target).coming
    if coming is None:
        trip.unlooked = 0
        return
    enough = min(coming.min_rows / max(coming.share, 0.01), LOOK_ROWS_MAX)
    if trip.unlooked < enough:
        return
    _settle(trip)
    loop.look(trip.store, trip.place, trip.store.clock.now(), tell=trip.tell, progress=trip.say)
    after = releases.road(trip.store, trip.project, trip.target).coming
    undecided = after is not None and (after.id, after.stage) == (coming.id, coming.stage)
    # Chance gave it a few rows less than its share: a few more will do.
    trip.unlooked = int(enough * 0.75) if undecided else 0


def _settle(trip: _Trip) -> None:
    """Wait until what was sent is in the inference log."""
    expected = trip.replay.before + trip.replay.rows + trip.sent - trip.dropped
    until = _machine.now() + _flush_s(trip) + FLUSH_PATIENCE_S
    while (found := served.count(trip.store.home, trip.target)) < expected:
        if _machine.now() > until:
            trip.dropped += expected - found
            trip.say(f"{expected - found:,} rows are not in the inference log: the servers dropped them")
            return
        _machine.sleep(POLL_S)


# --- periods ---


def _be_live(trip: _Trip) -> None:
    """Something must answer: what is live is brought up if it fell over; with nothing live, the loop turns."""
    now = releases.road(trip.store, trip.project, trip.target)
    if trip.sender is not None and now.live is not None:
        return
    moment = trip.store.clock.now()
    if now.live is not None or now.coming is not None:
        loop.look(trip.store, trip.place, moment, tell=trip.tell, progress=trip.say, heal=True)
    if releases.live(trip.store, trip.project, trip.target) is None:
        done = loop.cycle(trip.store, trip.place, moment, tell=trip.tell, progress=trip.say, hold=trip.hold)
        if releases.live(trip.store, trip.project, trip.target) is None:
            said = done[-1].what if done else "the loop did nothing"
            raise refused(f"no model is live, so nothing can be served: {said}", where=trip.project)
    seen = grounds.open_target(trip.store, trip.place, trip.target).observe()
    if not seen.url or not seen.up:
        raise unavailable("the target does not answer", where=trip.target, fix="look at it: rw status")
    if trip.sender is None:
        trip.sender = Sender(seen.url)


def _turn(trip: _Trip) -> None:
    """A turn of the loop at the end of the stretch in progress; the period's end, if it is one."""
    k, end = trip.replay.turn, trip.turns.end(trip.replay.turn)
    _clock(trip).set(end)
    if loop.awake(trip.store, trip.place, end):
        _settle(trip)
    loop.cycle(trip.store, trip.place, end, tell=trip.tell, progress=trip.say, hold=trip.hold)
    _move(trip, turn=k + 1, turned=trip.replay.batch, moment=end)
    period = trip.periods.index(trip.turns.start(k))
    if end >= trip.periods.end(period):
        _end_period(trip, period)


def _end_period(trip: _Trip, k: int) -> None:
    found = periods.one(trip.store, trip.place, trip.periods, k)
    detail = {"start": found.start, "end": found.end, "rows": found.rows, "models": found.models}
    state = journal.load(trip.store, trip.project)
    journal.save(trip.store, state, kind="operate.period_ended", detail=detail)
    trip.period(found)


def _arrive(trip: _Trip, reached: float) -> list[Period]:
    """The last turn, and the period that it is in; the replay is over."""
    if trip.replay.batch > trip.replay.turned:
        _move(trip, ended=reached)
        _turn(trip)
    last = trip.periods.index(trip.replay.moment)
    if trip.replay.moment > trip.periods.start(last):
        _end_period(trip, last)
        last += 1
    state = journal.load(trip.store, trip.project)
    trip.replay = msgspec.structs.replace(trip.replay, finished=True)
    journal.save(
        trip.store,
        msgspec.structs.replace(state, replay=trip.replay),
        kind="operate.replay_finished",
        detail={"source": trip.replay.source, "rows": trip.replay.rows},
    )
    if trip.sender is not None:
        trip.sender.close()
    return periods.listing(trip.store, trip.place, trip.periods, 0, last)


# --- the source ---


def _batches(store: Store, place: Place, source: str) -> Iterator[Batch]:
    """What the project's function yields, checked."""
    # The function may import more of the project while it runs.
    sys.path.insert(0, str(place.root))
    try:
        found = sources.call(store, place.root, source, params=place.project.params)
        if not isinstance(found, Iterable):
            raise invalid("a source of a replay yields batches", where=source, fix="yield (moment, rows, labels)")
        for index, item in enumerate(found):
            yield _batch(item, f"{source}, batch {index}", place.project.serving.time or "")
    finally:
        sys.path.remove(str(place.root))


def _batch(item: object, where: str, time: str) -> Batch:
    import pandas as pd

    if not (isinstance(item, tuple) and len(item) == 3 and isinstance(item[0], dt.datetime)):
        raise invalid("a batch is (moment, rows, labels): a datetime and two tables", where=where)
    moment, rows, known = item
    for table in (rows, known):
        if table is not None and not isinstance(table, pd.DataFrame):
            raise invalid(f"the tables of a batch are pandas DataFrames, not {type(table).__name__}", where=where)
    zoned = moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
    begins, reaches = zoned.timestamp(), -math.inf
    if rows is not None and len(rows):
        if time not in rows.columns:
            raise invalid(f"the rows have no column {time!r}, which [serving] time names", where=where)
        happened = pd.to_datetime(rows[time], utc=True).dropna()
        reaches = begins
        if len(happened):
            begins, reaches = happened.min().timestamp(), max(reaches, happened.max().timestamp())
    return Batch(zoned.timestamp(), begins, reaches, pd.DataFrame() if rows is None else rows, known)


def _sender(trip: _Trip) -> Sender:
    assert trip.sender is not None, "rows are sent before anything is live"
    return trip.sender


def _clock(trip: _Trip) -> SimulatedClock:
    assert isinstance(trip.store.clock, SimulatedClock)
    return trip.store.clock


def _flush_s(trip: _Trip) -> float:
    return seconds(trip.place.project.serving.flush)


def _move(trip: _Trip, **changes: Any) -> None:
    trip.replay = msgspec.structs.replace(trip.replay, **changes)
    state = journal.load(trip.store, trip.project)
    journal.move(trip.store, msgspec.structs.replace(state, replay=trip.replay))


def _silent(_: object) -> None:
    """Nobody listens."""
