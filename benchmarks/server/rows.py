"""The rows: which servers take part in which, how long, in what order, and what is said of the ratios.

In: a work folder and the peers' environments. Out: rows for the frame's table. Called by this package's `measure`, and
by `python -m benchmarks.server --quick` for whoever works on the server.
"""

import statistics
import sys
import time
import traceback
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from benchmarks.frame import Peers
from benchmarks.server import artifacts, filling, ingest, reading, servers
from benchmarks.server.floor import CURVE, Rows
from benchmarks.server.servers import Running, Watch
from benchmarks.server.wire import drive

PARTS = ("start", "ingest", "search", "history", "artifacts")
BARS = {"log-batch": (20, 3), "log-metric": (20, 2), "small runs": (20, 2), "search": (50, 5), "history": (10, 10)}
SERVERS = OURS, MLFLOW, FASTTRACKML = "ours", "mlflow", "fasttrackml"
ON_POSTGRES = {"ours, PostgreSQL": OURS, "mlflow, PostgreSQL": MLFLOW}


class Sizes(msgspec.Struct, frozen=True):
    """How much is measured.

    Args:
        rounds, round_s: of every row of writing.
        runs: stored, for the searches; each number adds to what is there.
        long_curve: points of the long history.
        artifact: bytes.
        bound_s: after which a server has not answered.
    """

    rounds: int = 3
    round_s: float = 2.0
    starts: int = 2
    runs: tuple[int, ...] = (20_000, 200_000)
    long_curve: int = 10_000_000
    artifact: int = 1_000 << 20
    bound_s: float = 30.0


QUICK = Sizes(1, 1.0, 1, (5_000,), 100_000, 64 << 20, 20.0)


class Bench:
    """Servers side by side.

    Args:
        only: names of parts and of servers that take part; empty for all.
    """

    def __init__(self, work: Path, peers: Peers, sizes: Sizes, only: frozenset[str]) -> None:
        self._peers = peers
        self._sizes = sizes
        self._only = only
        self._work = work
        self._kept = ExitStack()
        self.rows: list[dict[str, Any]] = []
        self.servers: dict[str, Running] = {}
        self.accounts: dict[str, ingest.Account] = defaultdict(ingest.Account)

    def __enter__(self) -> Self:
        work, peers = self._work, self._peers
        makers: dict[str, Callable[[], Running]] = {
            OURS: lambda: servers.ours(work / "ours"),
            MLFLOW: lambda: servers.mlflow(peers, work / "mlflow"),
            FASTTRACKML: lambda: servers.fasttrackml(peers, work / "fasttrackml"),
        }
        if self._wants("postgres") and (database := servers.postgres()):
            self._kept.enter_context(database)
            ours_url = database.new_database()
            mlflow_url = database.new_database().replace("postgresql:", "postgresql+psycopg2:")
            makers["ours, PostgreSQL"] = lambda: servers.ours(work / "ours-pg", ours_url, "ours, PostgreSQL")
            makers["mlflow, PostgreSQL"] = lambda: servers.mlflow(
                peers, work / "mlflow-pg", mlflow_url, "mlflow, PostgreSQL"
            )
        for name, make in makers.items():
            if self._wants(name.partition(",")[0]):
                self.servers[name] = make()
        self._kept.callback(lambda: servers.stop_all([*self.servers.values()]))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._kept.close()

    def measure(self) -> list[dict[str, Any]]:
        parts = {
            "start": self.start,
            "ingest": self.ingest,
            "search": self.search,
            "history": self.history,
            "artifacts": self.artifacts,
        }
        for server in self.servers.values():
            server.start()  # the first start makes tables and compiled files: it is not the one that is measured
        for name, part in parts.items():
            if self._wants(name):
                began = time.perf_counter()
                try:
                    part()
                except Exception as problem:  # what the others found is worth keeping
                    traceback.print_exc()
                    self.rows.append({"row": f"{name}: failed", "unit": type(problem).__name__})
                print(f"{name}: {time.perf_counter() - began:.0f} s", file=sys.stderr)
        return self.rows

    def start(self) -> None:
        taking = [server for name, server in self.servers.items() if name not in ON_POSTGRES]
        for server in taking:
            server.started_s.clear()
        for _ in range(self._sizes.starts):
            for server in taking:
                server.again()
        took = {server.name: statistics.median(server.started_s) for server in taking}
        self._row("start-up to first answer", "s", took, less=True)
        time.sleep(5)  # the first of four workers answers before the last has loaded
        self._row("memory, idle", "MB", {n: s.memory()["pss"] for n, s in self.servers.items()}, less=True)

    def ingest(self) -> None:
        for server in self.servers.values():
            for kind in ingest.KINDS:  # each of their workers loads what it needs on its first requests
                ingest.load(server, kind, 8, 0.5, ingest.Account())
        bare = servers.floor(self._work / "floor")
        bare.start()
        self._kept.callback(bare.stop)
        rows = Rows(self._work / "rows")
        straight = {"log-batch": rows.batches, "log-metric": rows.singles, "small runs": rows.runs}
        most: dict[str, float] = {}
        client: list[float] = []
        for kind in ingest.KINDS:
            for clients in (1, 8):
                found: dict[str, list[float]] = defaultdict(list)
                for _ in range(self._sizes.rounds):
                    for name, server in self.servers.items():
                        account = self.accounts[name]
                        spent = server.cpu_s()
                        with Watch(server) as watch:
                            load = ingest.load(server, kind, clients, self._sizes.round_s, account)
                        spent = (server.cpu_s() - spent) / max(1, load.requests)
                        print(f"{name}: {spent * 1e3:.2f} ms of CPU for a request", file=sys.stderr)
                        most[name] = max(most.get(name, 0.0), watch.most["pss"])
                        found[name].append(load.rate * kind.per_request)
                        if load.bad:
                            print(f"{name}: {load.bad} of {load.requests} refused", file=sys.stderr)
                    load = drive(bare.port, [ingest.blind(kind) for _ in range(clients)], self._sizes.round_s)
                    client.append(load.cpu_s / load.requests)
                    found["bare HTTP"].append(load.rate * kind.per_request)
                    if clients == 1:
                        short = next(short for short in straight if kind.name.startswith(short))
                        found["rows in SQLite"].append(straight[short](self._sizes.round_s))
                name = f"{kind.name}, {clients} client{'s' * (clients > 1)}"
                self._row(name, kind.unit, {n: statistics.median(v) for n, v in found.items()}, alone=clients == 1)
        rows.close()
        self._row("memory under load, most", "MB", most, less=True)
        self.rows.append(
            {"row": "client, CPU of a request", "unit": "µs", "bare HTTP": statistics.median(client) * 1e6}
        )
        for name, server in self.servers.items():
            asked = ingest.check(server, self.accounts[name])
            print(f"{name}: {asked:,} acknowledged, those asked for are there", file=sys.stderr)

    def search(self) -> None:
        slow: set[tuple[str, str]] = set()
        taking = self._fresh()
        before = 1
        for runs in self._sizes.runs:
            for server in taking:
                if server.name == OURS and before == 1:
                    took = filling.over_the_wire(server, before, runs + 1)
                    rate = (runs + 1 - before) / took
                    print(f"filled over the wire: {rate:.0f} runs/s", file=sys.stderr)
                else:
                    server.stop()
                    filling.in_bulk(server, before, runs + 1)
                    server.start()
            before = runs + 1
            servers.settle(taking)
            for question in reading.QUESTIONS:
                asked = [server for server in taking if (server.name, question.kind) not in slow]
                answers = reading.ask(asked, question, runs, self._sizes.bound_s)
                slow |= {(name, question.kind) for name, given in answers.items() if given.slow}
                for name, given in answers.items():
                    cpu_ms = given.cpu_s / max(1, len(given.times)) * 1e3
                    print(f"{name}: {cpu_ms:.1f} ms of CPU for an answer", file=sys.stderr)
                times = {server.name: answers[server.name].median if server in asked else None for server in taking}
                self._row(f"search of {runs:,}: {question.name}", "s", times, less=True, bound_s=self._sizes.bound_s)
            for server in taking:
                if server.name == OURS:
                    walked = reading.walk(server, reading.QUESTIONS[0], runs)
                    print(f"ours: {walked} runs by page tokens, each once", file=sys.stderr)

    def history(self) -> None:
        taking = [self.servers[name] for name in (OURS, MLFLOW, FASTTRACKML) if name in self.servers]
        count = CURVE
        runs = {server.name: self._curve(server, count) for server in taking} | {"bare HTTP": "0"}
        bare = servers.floor(self._work / "floor-history")
        bare.start()
        self._kept.callback(bare.stop)
        reading.raw_history(bare, "0", count)  # makes its pages
        servers.settle(taking)
        for way, ask in (
            ("raw", lambda s: reading.raw_history(s, runs[s.name], count, self._sizes.bound_s)),
            ("by the stock client", lambda s: reading.stock_history(s, self._peers, runs[s.name], count)),
        ):
            found: dict[str, list[float]] = defaultdict(list)
            for _ in range(self._sizes.rounds):
                for server in (*taking, bare):
                    spent = server.cpu_s()
                    found[server.name].append(ask(server))
                    spent = server.cpu_s() - spent
                    print(
                        f"{server.name}, {way}: {found[server.name][-1]:.3f} s, {spent:.2f} s of CPU", file=sys.stderr
                    )
            medians = {name: statistics.median(times) for name, times in found.items()}
            times = {name: None if each == float("inf") else each for name, each in medians.items()}
            self._row(f"history of {count:,}, {way}", "s", times, less=True, bound_s=self._sizes.bound_s)
        if OURS in self.servers:
            self._long_history(self.servers[OURS], self._sizes.long_curve)

    def _long_history(self, server: Running, count: int) -> None:
        """Ours alone: at the rate at which the peers answer 100,000 points they would take minutes to hours."""
        run = self._curve(server, count)
        with Watch(server, 0.5) as watch:
            points, took = reading.paged_history(server.connection(), run, 600.0)
        assert points == count, f"{points:,} points of {count:,}"
        name = f"history of {count:,}, by pages of {reading.PAGE_OF_HISTORY:,}"
        self._row(name, "points/s", {OURS: points / took})
        self._row(f"{name}: memory, most", "MB", {OURS: watch.most["pss"]})

    def artifacts(self) -> None:
        size = self._sizes.artifact
        wanted = artifacts.digest(size)
        found: dict[str, list[dict[str, float]]] = defaultdict(list)
        for _ in range(min(2, self._sizes.rounds)):
            for name in (OURS, MLFLOW):
                if name in self.servers:
                    found[name].append(artifacts.there_and_back(self.servers[name], size, wanted))
        megabytes = f"{size >> 20:,} MiB"
        for kind, unit, row in (("up", "s", "up"), ("down", "s", "down"), ("pss", "MB", "up and down: memory, most")):
            medians = {name: statistics.median(each[kind] for each in given) for name, given in found.items()}
            self._row(f"artifact of {megabytes} {row}", unit, medians, less=True)

    def _fresh(self) -> list[Running]:
        """Servers on empty stores, with nothing from the load."""
        makers = {
            OURS: lambda: servers.ours(self._work / "ours-search"),
            MLFLOW: lambda: servers.mlflow(self._peers, self._work / "mlflow-search"),
            FASTTRACKML: lambda: servers.fasttrackml(self._peers, self._work / "fasttrackml-search"),
        }
        made = [makers[name]() for name in makers if name in self.servers]
        for server in self.servers.values():  # one set at a time: what idles costs something too
            server.stop()
        for server in made:
            server.start()
        self.servers |= {server.name: server for server in made}
        return made

    def _curve(self, server: Running, count: int) -> str:
        """A run with a curve of `count` points."""
        if server.name == OURS:
            return filling.curve_over_the_wire(server, count)
        connection = server.connection()
        run = ingest.new_run(connection, "curve")
        connection.close()
        server.stop()
        filling.curve_in_bulk(server, count, run)
        server.start()
        return run

    def _wants(self, name: str) -> bool:
        """Whether a part or a server takes part: one named, or all of its kind where none of its kind is named."""
        if name == "postgres":
            return not self._only or "postgres" in self._only
        kind = set(PARTS) if name in PARTS else set(SERVERS)
        return name in self._only or not self._only & kind

    def _row(
        self,
        name: str,
        unit: str,
        found: dict[str, float | None],
        *,
        less: bool = False,
        alone: bool = False,
        bound_s: float = 0.0,
    ) -> None:
        row: dict[str, Any] = {"row": name, "unit": unit}
        for column in (OURS, MLFLOW, FASTTRACKML, *ON_POSTGRES, "bare HTTP", "rows in SQLite"):
            value = found.get(column)
            row[column] = f">{bound_s:.0f}" if value is None and column in found else number(value)
        bars = next((bars for start, bars in BARS.items() if name.startswith(start)), None)
        mine = found.get(OURS)
        for peer in (MLFLOW, FASTTRACKML):
            theirs = found.get(peer)
            if not mine or peer not in found:
                row[f"of {peer}"] = None
            elif theirs is None:
                row[f"of {peer}"] = f">{bound_s / mine:.0f}"
            else:
                row[f"of {peer}"] = number(theirs / mine if less else mine / theirs)
            if bars and peer in found:
                row.setdefault("bar", f"{bars[0]}, {1 if alone else bars[1]}")
        ours_on, mlflow_on = found.get("ours, PostgreSQL"), found.get("mlflow, PostgreSQL")
        row["PostgreSQL: of mlflow"] = (
            number(mlflow_on / ours_on if less else ours_on / mlflow_on) if ours_on and mlflow_on else None
        )
        self.rows.append(row)
        print("  ".join(f"{column}: {value}" for column, value in row.items() if value is not None), file=sys.stderr)


def number(value: float | None) -> str | None:
    """Three digits, with commas where it is large."""
    if value is None:
        return None
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
