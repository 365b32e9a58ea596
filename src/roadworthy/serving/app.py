"""App: the model server. `python -m roadworthy.serving.app --bundle DIR --uds PATH`

In: a bundle, and requests as MLflow and SageMaker clients send them. Out: scores, and rows in the inference log. One
process, one event loop for the wire, one thread that scores (serving/batching.py), one that writes the log. Started by
releases; it knows no store and no database.

    POST /invocations   GET /ping /health (200 when ready, 503 before)   GET /metrics   GET /version   GET /
"""

import argparse
import asyncio
import gc
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

from roadworthy.nouns.errors import EXIT_CODES, Fault, unavailable
from roadworthy.nouns.version import __version__
from roadworthy.serving import bundle as bundles
from roadworthy.serving import extras, protocols, runtime, wire
from roadworthy.serving.batching import Batcher, Scored
from roadworthy.serving.bundle import Bundle
from roadworthy.serving.counters import ROWS, TYPE, Counters
from roadworthy.serving.inference_log import Entry, InferenceLog, folder_of
from roadworthy.serving.living import Home
from roadworthy.serving.model import load
from roadworthy.serving.routes import read_part
from roadworthy.serving.signature import column_names
from roadworthy.serving.warmup import warm
from roadworthy.store.clock import SystemClock

_log = logging.getLogger("roadworthy.serving")
_clock = SystemClock()


class ModelServer:
    """The handlers of one model.

    Args:
        bundle: what is served.
        log: where rows are kept; None keeps none.
        home: the store's folder, without which it ends.
    """

    def __init__(self, bundle: Bundle, log: InferenceLog | None, home: Home | None = None) -> None:
        self.bundle = bundle
        self.log = log
        self._home = home
        self._watching: asyncio.Task[None] | None = None
        self.failure: Fault | Exception | None = None
        self.counters = Counters()
        self._batcher: Batcher | None = None
        self._loading: asyncio.Task[None] | None = None
        self._routed = False
        serving = bundle.settings.serving
        self._model = bundle.model
        self._inputs = column_names(bundle.model.signature)
        self._wanted = column_names(bundle.model.signature, serving.entity, serving.key, serving.time)
        self._version = (b"x-roadworthy-model", bundle.model.id.encode())
        self._count()

    def application(self, *, names: Sequence[str] | None) -> wire.Application:
        """The ASGI application; `names` are the hosts it answers for, None on a socket that only the router uses."""
        self._routed = names is None
        get = {"/": self.about, "/ping": self.ping, "/health": self.ping, "/version": self.version,
               "/metrics": self.metrics}  # fmt: skip
        routes: dict[str, dict[str, wire.Handler]] = {path: {"GET": handler} for path, handler in get.items()}
        routes["/invocations"] = {"POST": self.invocations}
        return wire.Application(
            routes,
            body_bytes_max=self.bundle.settings.serving.max_body_mb << 20,
            names=names,
            startup=self.start,
            shutdown=self.stop,
            observe=self.counters.observe,
        )

    async def start(self) -> None:
        """Begin to load; until that is done `/ping` says 503."""
        self._loading = asyncio.create_task(self._load())
        if self._home is not None:
            self._watching = asyncio.create_task(self._home.end_without())

    async def stop(self) -> None:
        """Finish what waits, and write the log out."""
        if self._watching is not None:
            self._watching.cancel()
        if self._loading is not None:
            await asyncio.gather(self._loading, return_exceptions=True)
        if self._batcher is not None:
            await asyncio.to_thread(self._batcher.close)
        if self.log is not None:
            await asyncio.to_thread(self.log.close)

    async def invocations(self, request: wire.Request) -> wire.Reply:
        if self._batcher is None:
            raise unavailable("the model is not loaded yet", fix="ask GET /ping until it answers 200")
        began = perf_counter()
        wire.no_encoding(request.headers)
        kind = protocols.content_type(request.headers.get(b"content-type"))
        rows = protocols.parse(
            request.body, kind, self._inputs, wanted=self._wanted, rows_max=self.bundle.settings.serving.max_rows
        )
        carried = extras.read(rows, self.bundle.settings.serving)
        part = request.headers.get(b"x-roadworthy-part") if self._routed else ""
        take = extras.part_rows(rows, read_part(part.encode())) if part else None
        try:
            scored = await self._batcher.score(rows, take)
        except Fault as fault:
            reply = wire.of_fault(fault)
            if fault.detail.get("by") == "model":
                self._refusals.inc()
                reply = reply._replace(headers=(*reply.headers, (b"x-roadworthy-error", b"model")))
            return reply._replace(headers=(*reply.headers, self._version))
        self._rows.inc(len(scored.scores))
        self._sizes.observe(len(scored.scores))
        if self.log is not None and scored.scores:
            carried = carried if take is None else carried.take(take)
            entry = Entry(
                request=request.id,
                rows=range(rows.count) if take is None else take,
                columns=scored.columns,
                scores=scored.scores,
                served_at=_clock.now(),
                latency_ms=(perf_counter() - began) * 1000.0,
                at=carried.at,
                keys=carried.keys,
                entities=carried.entities,
                route=request.headers.get(b"x-roadworthy-route")[:16] if self._routed else "",
            )
            self.log.offer(entry)
        return self._answer(request, kind.kind, scored)

    async def ping(self, _: wire.Request) -> wire.Reply:
        if self._batcher is None:
            raise unavailable("the model is not loaded yet", where=self._model.id)
        return wire.json({"status": "ok", "model": self._model.id})

    async def version(self, _: wire.Request) -> wire.Reply:
        return wire.json({"roadworthy": __version__, "model": self._model.id, "digest": self._model.value.digest})

    async def metrics(self, _: wire.Request) -> wire.Reply:
        return wire.Reply(200, self.counters.text(), TYPE)

    async def about(self, _: wire.Request) -> wire.Reply:
        settings = self.bundle.settings
        inputs = [{"name": f.name, "type": f.type, "nullable": f.nullable} for f in self._model.signature.inputs]
        said: dict[str, Any] = {
            "model": self._model.id,
            "task": self._model.task,
            **({"classes": self._model.classes} if self._model.classes else {}),
            "digest": self._model.value.digest,
            "release": settings.release,
            "inputs": inputs,
            "entity": settings.serving.entity,
            "key": settings.serving.key,
            "time": settings.serving.time,
            "max_rows": settings.serving.max_rows,
        }
        return wire.json(said)

    async def _load(self) -> None:
        try:
            predictor = await asyncio.to_thread(load, self.bundle)
            await asyncio.to_thread(warm, predictor)
        except Exception as problem:
            self.failure = problem
            os.kill(os.getpid(), signal.SIGTERM)
            return
        gc.collect()
        gc.freeze()  # what is loaded stays: collections need not look at it again
        self._batcher = Batcher(predictor, asyncio.get_running_loop())
        _log.info("%s is ready", self._model.id)

    def _answer(self, request: wire.Request, sent: str, scored: Scored) -> wire.Reply:
        kind = protocols.accepted(request.headers.get(b"accept"), sent)
        versions = None
        if request.headers.get(b"x-roadworthy-versions").lower() in ("1", "true"):
            versions = [self._model.id] * len(scored.scores)
        classes = self._model.classes
        said = [classes[int(place)] for place in scored.scores] if classes else protocols.finite(scored.scores)
        body = protocols.answer(said, kind, versions)
        rows = (b"x-roadworthy-rows", str(len(scored.scores)).encode())
        return wire.Reply(200, body, kind, (self._version, rows))

    def _count(self) -> None:
        from prometheus_client import Counter, Histogram, Info

        registry = self.counters.registry
        self._rows = Counter("roadworthy_rows", "Rows answered.", registry=registry)
        self._sizes = Histogram("roadworthy_request_rows", "Rows per request.", registry=registry, buckets=ROWS)
        self._refusals = Counter("roadworthy_model_errors", "Requests whose rows the model refused.", registry=registry)
        Info("roadworthy_model", "What is served.", registry=registry).info(
            {"model": self._model.id, "digest": self._model.value.digest, "release": self.bundle.settings.release}
        )
        gauge = self.counters.gauge
        gauge("roadworthy_ready", "1 when the model is loaded.", lambda: float(self._batcher is not None))
        gauge("roadworthy_requests_waiting", "Requests that wait for the model.",
              lambda: float(self._batcher.requests_waiting if self._batcher else 0))  # fmt: skip
        gauge("roadworthy_rows_waiting", "Rows that wait for the model.",
              lambda: float(self._batcher.rows_waiting if self._batcher else 0))  # fmt: skip
        gauge("roadworthy_batches", "Calls of the model.",
              lambda: float(self._batcher.batches if self._batcher else 0))  # fmt: skip
        log = self.log
        if log is not None:
            gauge("roadworthy_log_rows_dropped", "Rows that the inference log lost.", lambda: float(log.rows_dropped))
            gauge("roadworthy_log_rows_waiting", "Rows not yet written.", lambda: float(log.rows_waiting))
            gauge("roadworthy_log_rows_written", "Rows written.", lambda: float(log.rows_written))


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve a bundle until told to stop; the exit code."""
    given = _arguments(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        # Small batches lose more to threads than they gain, and the canary's server shares the cores.
        os.environ.setdefault(name, str(given.threads))
    runtime.raise_file_limit()
    try:
        public = bytes.fromhex(given.public) if given.public else None
        bundle = bundles.read(given.bundle, public=public)
        log = home = None
        if given.log is not None:
            home = Home(given.log.absolute().parent)
            folder = folder_of(given.log.parent, bundle.settings.target)
            log = InferenceLog(folder, bundle.model, bundle.settings, _clock, home=home)
        server = ModelServer(bundle, log, home)
        listener = runtime.bind_unix(given.uds) if given.uds else runtime.bind_port(given.port)
        return _serve(server, listener, names=None if given.uds else (*wire.LOCAL_NAMES, *given.allow_host))
    except Fault as fault:
        sys.stderr.write(f"error: {fault}\n")
        return EXIT_CODES[fault.code]


def _serve(server: ModelServer, listener: Any, *, names: Sequence[str] | None) -> int:
    from roadworthy.serving.guard import serve

    serve((server.application(names=names), listener))
    if isinstance(server.failure, Fault):
        raise server.failure
    if server.failure is not None:
        _log.error("the model could not be loaded", exc_info=server.failure)
        return 70
    return 0


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m roadworthy.serving.app", description="Serve one model.")
    parser.add_argument("--bundle", type=Path, required=True, help="folder made by `rw release`")
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("--uds", type=Path, help="listen on this socket")
    place.add_argument("--port", type=int, help="listen on this port of the loopback address")
    parser.add_argument("--log", type=Path, help="the store's folder `inference`; the target's rows go below it")
    parser.add_argument("--public", default="", help="hex of the public key that certificates must be signed with")
    parser.add_argument("--threads", type=int, default=1, help="threads that one prediction may use")
    parser.add_argument("--allow-host", action="append", default=[], help="a host name to answer for, beside localhost")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
