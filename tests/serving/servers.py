"""Small real models in real bundles, and the processes that serve them."""

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from roadworthy.data.formats.registry import save
from roadworthy.gates import dsse
from roadworthy.nouns.model import Model
from roadworthy.nouns.project import Serving
from roadworthy.serving import bundle, runtime
from roadworthy.serving.control import UnixConnection
from roadworthy.serving.routes import Route, State, write_state
from roadworthy.serving.signature import infer
from roadworthy.store.blobs import Blobs
from roadworthy.store.keys import Keys

START_S = 90.0


def flights(count: int = 400, seed: int = 0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "carrier": random.choice(["AA", "B6", "UA"], count),
            "distance": random.integers(100, 3000, count),
            "wind": random.normal(10.0, 3.0, count),
            "late": random.integers(0, 2, count),
        }
    )


FEATURES = ["carrier", "distance", "wind"]
ROW = {"carrier": "AA", "distance": 300, "wind": 9.5}


class Maker:
    """Makes models and bundles in one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.blobs = Blobs(root / "blobs")
        self.keys = Keys(root / "keys")

    def model(self, version: int = 1, *, seed: int = 0, unknown: str = "ignore", **changes: Any) -> Model:
        data = flights(seed=seed)
        columns = make_column_transformer(
            (OneHotEncoder(handle_unknown=unknown), ["carrier"]), (StandardScaler(), ["distance", "wind"])
        )
        estimator = make_pipeline(columns, LogisticRegression()).fit(data[FEATURES], data["late"])
        value = save(self.blobs, estimator)
        changes = {"value": value, "signature": infer(data, FEATURES)} | changes
        return Model(name="late", version=version, run="r", label="late", **changes)

    def envelope(self, model: Model, *, passed: bool = True, digest: str = "") -> bytes:
        statement = {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"name": model.id, "digest": {"blake3": digest or model.value.digest}}],
            "predicateType": "test",
            "predicate": {"passed": passed},
        }
        return dsse.sign(json.dumps(statement).encode(), "application/vnd.in-toto+json", self.keys)

    def bundle(self, model: Model, **settings: Any) -> bundle.Bundle:
        settings.setdefault("serving", Serving(entity="tail", key="id", time="when", flush="100ms"))
        return bundle.write(
            self.root / f"{model.name}-{model.version}", self.blobs, model, self.envelope(model),
            self.keys.public(), settings=bundle.Settings(**settings),
        )  # fmt: skip


class Answer:
    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    def json(self) -> Any:
        return json.loads(self.body)


class Served:
    """A server process and how to talk to it."""

    def __init__(self, process: subprocess.Popen[bytes], address: Path | int, log: Path) -> None:
        self.process = process
        self.address = address
        self.log = log

    def connect(self, timeout_s: float = 20.0) -> http.client.HTTPConnection:
        if isinstance(self.address, Path):
            return UnixConnection(self.address, timeout_s=timeout_s)
        return http.client.HTTPConnection("127.0.0.1", self.address, timeout=timeout_s)

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None:
            named.setdefault("content-type", "application/json")
        connection = self.connect()
        try:
            connection.request(method, path, content, named)
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def predict(self, *rows: dict[str, Any], **headers: str) -> Answer:
        return self.ask("POST", "/invocations", {"dataframe_records": list(rows)}, **headers)

    def wait(self) -> "Served":
        until = time.monotonic() + START_S
        while time.monotonic() < until:
            with contextlib.suppress(OSError, http.client.HTTPException):
                if self.ask("GET", "/ping").status == 200:
                    return self
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.02)
        raise AssertionError(self.log.read_text())

    def stop(self, sign: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(sign)
        return self.process.wait(timeout=40)


class Launcher:
    """Starts servers and ends them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.running: list[Served] = []

    def __call__(self, module: str, address: Path | int, *arguments: str) -> Served:
        log = self.folder / f"{len(self.running)}.log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", f"roadworthy.serving.{module}", *arguments],
                stderr=file, stdout=file, env=os.environ | {"OMP_NUM_THREADS": "1"},
            )  # fmt: skip
        served = Served(process, address, log)
        self.running.append(served)
        return served

    def app(self, made: bundle.Bundle, uds: Path | None = None, *arguments: str) -> Served:
        uds = uds or self.folder / f"{made.model.name}-{made.model.version}.sock"
        return self("app", uds, "--bundle", str(made.folder), "--uds", str(uds), *arguments)

    def router(self, state: State, name: str = "state.json") -> Served:
        path = self.folder / name
        write_state(path, state)
        port = free_port()
        return self("router", port, "--state", str(path), "--port", str(port), "--control", str(self.control(name)))

    def control(self, name: str = "state.json") -> Path:
        return self.folder / f"{name}.ctl"

    def close(self) -> None:
        for served in reversed(self.running):
            if served.process.poll() is None:
                served.process.kill()
            served.process.wait(timeout=20)


def free_port() -> int:
    listener = runtime.bind_port(0)
    port: int = listener.getsockname()[1]
    listener.close()
    return port


def route(served: Served, made: bundle.Bundle, share: float, state: Any = "live") -> Route:
    return Route(
        model=made.model.id, release=f"r{made.model.version}", share=share, uds=str(served.address), state=state
    )
