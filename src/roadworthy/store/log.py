"""The event log: append inside the caller's transaction, read, verify, sign checkpoints.

Called by `Store.change` for each change, and by `rw audit`.
"""

import base64
import hashlib
from collections.abc import Hashable, Iterator, Sequence

import msgspec

from roadworthy.nouns.errors import Fault, invalid, not_found
from roadworthy.nouns.event import Checkpoint, Event
from roadworthy.store import chain
from roadworthy.store import keys as signing
from roadworthy.store.keys import Keys
from roadworthy.store.sql import Asked, Reader, Transaction
from roadworthy.store.trust import Trust

PAGE = 5_000
ORIGIN = "roadworthy"

# FOR UPDATE would serialise PostgreSQL's writers at their last statement; SQLite's hold the write lock already.
_READ_HEAD = {
    "sqlite": "SELECT size, roots FROM log_head WHERE id = 1",
    "postgresql": "SELECT size, roots FROM log_head WHERE id = 1 FOR UPDATE",
}
_HEAD_KEY = ("log",)  # among what is read ahead
_WRITE_HEAD = "UPDATE log_head SET size = :size, roots = :roots WHERE id = 1"
_INSERT = """
INSERT INTO events (seq, at, kind, subject, project, actor, record, leaf)
VALUES (:seq, :at, :kind, :subject, :project, :actor, :record, :leaf)
"""
_PAGE = (
    "SELECT seq, kind, subject, project, actor, record, leaf FROM events WHERE seq >= :seq ORDER BY seq LIMIT :limit"
)
_OF_SUBJECT = "SELECT record FROM events WHERE subject = :subject ORDER BY seq DESC LIMIT :limit"
_NEWEST = "SELECT record FROM events ORDER BY seq DESC LIMIT :limit"
# Kinds are compared as `kind = X` or `kind begins with X.`, so that `model` finds `model.registered`.
_SEARCH = """
SELECT record FROM events
WHERE (CAST(:subject AS TEXT) = '' OR subject = :subject)
AND (CAST(:kind AS TEXT) = '' OR kind = :kind OR SUBSTR(kind, 1, CAST(:kind_length AS INTEGER)) = :kind_prefix)
AND (CAST(:actor AS TEXT) = '' OR actor = :actor)
ORDER BY seq DESC LIMIT :limit
"""
_LEAVES = "SELECT leaf FROM events ORDER BY seq"
_RECORD = "SELECT record, leaf FROM events WHERE seq = :seq"
_INSERT_CHECKPOINT = """
INSERT INTO checkpoints (size, root, note, at) VALUES (:size, :root, :note, :at) ON CONFLICT (size) DO NOTHING
"""
_CHECKPOINTS = "SELECT size, root, note FROM checkpoints ORDER BY size"


class Damage(msgspec.Struct, frozen=True, kw_only=True):
    """One thing wrong with the log: at which event, and what."""

    seq: int
    what: str


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """What verifying the log found: `size` events, their `root`, `checkpoints` held against it, and the damage."""

    size: int
    root: str
    checkpoints: int
    damage: tuple[Damage, ...]


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """That an event is in the log: with `path` its `leaf` hashes to the `root` over `size` events (RFC 6962)."""

    seq: int
    record: str
    leaf: str
    size: int
    root: str
    path: tuple[str, ...]


def append(tx: Transaction, event: Event) -> Event:
    """Write `event` as the log's next line, in the caller's transaction."""
    return append_many(tx, [event])[0]


class End:
    """Where the log ends, as one writer of PostgreSQL's has left it; what it says is held against the log each time.

    Attributes:
        trusted: whether the last that was written went on with what is remembered: then its transaction may fail at
            its end because of that.
    """

    def __init__(self) -> None:
        self.trusted = False
        self._head: tuple[int, str] | None = None
        self._written: tuple[int, str] | None = None
        self._trust = Trust()

    def read(self, tx: Transaction, *, trust: bool) -> chain.Frontier:
        """Where the log ends; from now on nobody else writes to it until the transaction ends."""
        self.trusted = trust and self._head is not None and self._trust.dares()
        if self.trusted:
            assert self._head is not None
            tx.assume([Asked(_READ_HEAD[tx.dialect], {}, _take_head)], self._holds)
            return _frontier(*self._head)
        return _frontier(*_head(tx))

    def begin(self) -> None:
        """A transaction begins, whatever became of the one before."""
        self.trusted, self._written = False, None

    def wrote(self, size: int, roots: str) -> None:
        self._written = size, roots

    def committed(self) -> None:
        """What was written last is durable."""
        if self._written is not None:
            self._head, self._written = self._written, None

    def _holds(self, found: dict[Hashable, object]) -> bool:
        well = found.get(_HEAD_KEY) == self._head
        self._trust.came(well=well)
        return well


def append_many(
    tx: Transaction, events: Sequence[Event], end: End | None = None, *, trust: bool = False
) -> list[Event]:
    """Write `events` as the log's next lines, in the caller's transaction; the head is read and written once.

    Args:
        end: remembers where the log ends.
        trust: whether to go on with that; in a pipeline alone.
    """
    end = end or End()
    end.begin()
    if not events:
        return []
    frontier = end.read(tx, trust=trust)
    written: list[Event] = []
    rows: list[dict[str, object]] = []
    for event in events:
        numbered = msgspec.structs.replace(event, seq=frontier.size)
        record = msgspec.json.encode(numbered, order="deterministic").decode()
        leaf = chain.leaf_hash(record.encode())
        frontier.append(leaf)
        rows.append(
            {
                "seq": numbered.seq, "at": numbered.at, "kind": numbered.kind, "subject": numbered.subject,
                "project": numbered.project, "actor": numbered.actor, "record": record, "leaf": leaf.hex(),
            }
        )  # fmt: skip
        written.append(numbered)
    tx.insert_many(_INSERT, rows)
    roots = ",".join(root.hex() for root in frontier.roots)
    tx.update_one(_WRITE_HEAD, size=frontier.size, roots=roots)
    end.wrote(frontier.size, roots)
    return written


def newest(reader: Reader, *, subject: str = "", limit: int = 50) -> list[Event]:
    """The newest events first, of one subject if named."""
    rows = reader.rows(_OF_SUBJECT, subject=subject, limit=limit) if subject else reader.rows(_NEWEST, limit=limit)
    return [_event(row[0]) for row in rows]


def search(reader: Reader, *, subject: str = "", kind: str = "", actor: str = "", limit: int = 50) -> list[Event]:
    """The newest events first; of one subject, of a kind or kinds that begin so (`model`), of one actor."""
    prefix = f"{kind}."
    rows = reader.rows(
        _SEARCH, subject=subject, kind=kind, kind_prefix=prefix, kind_length=len(prefix), actor=actor, limit=limit
    )
    return [_event(row[0]) for row in rows]


def prove(reader: Reader, seq: int) -> Proof:
    """The inclusion proof of one event in the log as it is now.

    Raises:
        Fault: not found for an event that is not there, invalid when the log was changed.
    """
    row = reader.row(_RECORD, seq=seq)
    if row is None:
        raise not_found("the log has no such event", where=str(seq), fix="`rw audit` lists them")
    leaves = [_digest(str(leaf)) for (leaf,) in reader.rows(_LEAVES)]
    root = chain.root_of(leaves)
    if _head_root(reader.row(_READ_HEAD["sqlite"])) != root or chain.leaf_hash(str(row[0]).encode()) != leaves[seq]:
        raise _changed("nothing can be proved by it")
    path = tuple(step.hex() for step in chain.inclusion_proof(leaves, seq))
    return Proof(seq=seq, record=str(row[0]), leaf=str(row[1]), size=len(leaves), root=root.hex(), path=path)


def origin(project: str) -> str:
    """Whose log a checkpoint says it is of."""
    return f"{ORIGIN}/{project}" if project else ORIGIN


def checkpoint(tx: Transaction, keys: Keys, *, origin: str, at: float) -> Checkpoint:
    """Sign the log as it is now and keep the note; export it to where the log's owner cannot write."""
    frontier = _frontier(*_head(tx))
    body = chain.checkpoint_body(origin, frontier.size, frontier.root())
    # A signature line of a C2SP signed note: name, then four bytes of key hash and the signature, in base 64. The hash
    # is over the name, a line break, the algorithm (1 is Ed25519) and the public key.
    tag = hashlib.sha256(f"{origin}\n".encode() + b"\x01" + keys.public()).digest()[:4]
    signature = base64.b64encode(tag + keys.sign(body.encode())).decode()
    note = f"{body}\n\u2014 {origin} {signature}\n"
    made = Checkpoint(origin=origin, size=frontier.size, root=frontier.root().hex(), note=note)
    tx.execute(_INSERT_CHECKPOINT, size=made.size, root=made.root, note=note, at=at)
    return made


def checkpoints(reader: Reader) -> list[Checkpoint]:
    return [_read_note(str(note)) for _, _, note in reader.rows(_CHECKPOINTS)]


def verify(reader: Reader, keys: Keys, *, exported: tuple[str, ...] = ()) -> Verification:
    """Hash the whole log again and hold it against its head and every checkpoint, kept or `exported` (notes as text).

    Finds an edit, a deletion, an insertion and a reordering; a log cut short or rewritten as a whole is found by a
    checkpoint that was exported before.
    """
    damage: list[Damage] = []
    expected = {c.size: c for c in checkpoints(reader)}
    notes = [c.note for c in expected.values()] + list(exported)
    frontier = chain.Frontier()
    roots_at = {0: chain.EMPTY_ROOT.hex()}
    wanted = {_read_note(note).size for note in notes}
    for row in _pages(reader):
        seq, kind, subject, project, actor, record, leaf = row
        damage += _check_row(frontier.size, seq, (kind, subject, project, actor), str(record), str(leaf))
        frontier.append(chain.leaf_hash(str(record).encode()))
        if frontier.size in wanted:
            roots_at[frontier.size] = frontier.root().hex()
    head = reader.row(_READ_HEAD["sqlite"])
    if head is None or str(head[0]) != str(frontier.size) or _head_root(head) != frontier.root():
        there = "none" if head is None else str(head[0])
        damage.append(Damage(seq=frontier.size, what=f"the head says {there} events, the log hashes to another root"))
    damage += [d for note in notes if (d := _check_note(note, keys, roots_at)) is not None]
    return Verification(size=frontier.size, root=frontier.root().hex(), checkpoints=len(notes), damage=tuple(damage))


def _check_row(place: int, seq: int, columns: tuple[str, ...], record: str, leaf: str) -> list[Damage]:
    found: list[Damage] = []
    if seq != place:
        found.append(Damage(seq=seq, what=f"event {seq} stands at place {place}: one is missing or moved"))
    if chain.leaf_hash(record.encode()).hex() != leaf:
        found.append(Damage(seq=seq, what=f"event {seq} was edited: its text no longer hashes to its leaf"))
    try:
        event = msgspec.json.decode(record, type=Event)
    except msgspec.DecodeError:
        return [*found, Damage(seq=seq, what=f"event {seq} is not readable")]
    if (event.kind, event.subject, event.project, event.actor) != columns or event.seq != seq:
        found.append(Damage(seq=seq, what=f"event {seq}: its columns differ from its record"))
    return found


def _check_note(note: str, keys: Keys, roots_at: dict[int, str]) -> Damage | None:
    made = _read_note(note)
    body, _, line = note.partition("\n\n")
    try:
        signature = base64.b64decode(line.split(" ")[2].strip(), validate=True)[4:]
    except (IndexError, ValueError):
        return Damage(seq=made.size, what=f"the checkpoint at {made.size} has no signature")
    if not signing.verify(keys.public(), signature, f"{body}\n".encode()):
        return Damage(seq=made.size, what=f"the checkpoint at {made.size} is not signed by this project's key")
    if roots_at.get(made.size) != made.root:
        return Damage(seq=made.size, what=f"the log's first {made.size} events are not those that were signed")
    return None


def _read_note(note: str) -> Checkpoint:
    origin, size, root, *_ = [*note.split("\n"), "", "", ""]
    try:
        return Checkpoint(origin=origin, size=int(size), root=base64.b64decode(root, validate=True).hex(), note=note)
    except ValueError:
        return Checkpoint(origin=origin, size=-1, root="", note=note)


def _head(tx: Transaction) -> tuple[int, str]:
    row = tx.row(_READ_HEAD[tx.dialect])
    assert row is not None
    return int(row[0]), str(row[1])


def _take_head(rows: list[tuple[object, ...]], found: dict[Hashable, object]) -> None:
    found[_HEAD_KEY] = tuple(rows[0])


def _frontier(size: int, roots: str) -> chain.Frontier:
    try:
        return chain.Frontier(size, [bytes.fromhex(root) for root in roots.split(",") if root])
    except ValueError:
        raise _changed("its head is none") from None


def _head_root(head: tuple[object, ...] | None) -> bytes | None:
    """The root that the head stands for; None when it stands for none."""
    try:
        return None if head is None else _frontier(int(str(head[0])), str(head[1])).root()
    except (Fault, ValueError):
        return None


def _digest(written: str) -> bytes:
    try:
        return bytes.fromhex(written)
    except ValueError:
        raise _changed("a leaf is no digest") from None


def _changed(what: str) -> Fault:
    return invalid(f"the log was changed: {what}", fix="see what else: rw audit verify")


def _event(record: str) -> Event:
    try:
        event: Event = msgspec.json.decode(record, type=Event)
    except msgspec.DecodeError:
        raise _changed("an event is not readable") from None
    return event


def _pages(reader: Reader) -> Iterator[tuple[int, str, str, str, str, str, str]]:
    start = -(2**62)  # an inserted event may well have a negative number
    while rows := reader.rows(_PAGE, seq=start, limit=PAGE):
        for row in rows:
            # SQLite lets any column hold any type.
            if not isinstance(row[0], int):
                raise _changed("an event's number is none")
            yield int(row[0]), *(str(cell) for cell in row[1:])  # type: ignore[misc]
        start = int(rows[-1][0]) + 1
