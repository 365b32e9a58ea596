"""One row asked over HTTP, beside calling the model in the same process on a table that is already there.

The model is a histogram gradient boosting of 14 columns (4 of text). All ways are asked in turn, round after round,
over connections that are kept. `extra` is the median over that of the call in process. The last rows show why the
router has a client of its own: the same `GET /ping` of the model server over its socket with aiohttp's and with ours.
"""

import asyncio
import http.client
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pandas as pd
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

from roadworthy.data.formats.registry import save
from roadworthy.nouns.project import Serving
from roadworthy.serving import division
from roadworthy.serving.backends import Backend
from roadworthy.serving.model import load
from roadworthy.serving.protocols import JSON, ContentType, parse
from roadworthy.serving.routes import State
from roadworthy.serving.signature import column_names, convert_columns, infer
from tests.serving.servers import Launcher, Maker, route

TITLE = "Serving"
PEERS: list[str] = []
ROUNDS = 1500
CLIENTS = 16
LOAD_S = 5.0


def measure(work: Path, _: Any) -> list[dict[str, Any]]:
    maker = Maker(work / "store")
    table = rows(5_000)
    model = maker.model(value=save(maker.blobs, train(table)), signature=infer(table))
    made = maker.bundle(model, serving=Serving(entity="text0"))
    launch = Launcher(work)
    try:
        server = launch.app(made, None, "--log", str(work / "inference")).wait()
        router = launch.router(State(routes=(route(server, made, 1.0),), entity="text0")).wait()
        shares = (route(server, made, 0.5), route(server, made, 0.5, "canary"))
        divided = launch.router(State(routes=shares, entity="text0"), "divided.json").wait()
        predictor = load(made)
        row = table.head(1)
        body = json.dumps({"dataframe_records": row.to_dict(orient="records")}).encode()
        names = column_names(model.signature)

        def decoded() -> None:
            sent = parse(body, ContentType(JSON), names)
            predictor.predict_aligned(convert_columns(sent.columns, model.signature))

        ways: dict[str, Callable[[], object]] = {
            "predict in process": lambda: predictor.predict_aligned(row),
            "JSON, checks, predict in process": decoded,
            "model server": asking(server.connect(), body),
            "router, model server": asking(router.connect(), body),
            "router with a canary, model server": asking(divided.connect(), body),
        }
        found = in_turn(ways)
        base = found["predict in process"][0]
        results: list[dict[str, Any]] = [
            {"way": way, "p50 ms": p50, "p99 ms": p99, "extra ms": p50 - base} for way, (p50, p99) in found.items()
        ]
        for name, address in (("model server", server), ("router, model server", router)):
            rate = asyncio.run(load_of(address.address, body))
            results.append({"way": f"{name}, {CLIENTS} clients", "requests/s": rate})
        for name, p50 in asyncio.run(clients(str(server.address))).items():
            results.append({"way": f"GET /ping, {name}", "p50 ms": p50})
        return results
    finally:
        launch.close()


def rows(count: int) -> pd.DataFrame:
    random = np.random.default_rng(0)
    numbers = {f"number{i}": random.normal(size=count) for i in range(10)}
    texts = {f"text{i}": random.choice([f"value{j}" for j in range(20)], count) for i in range(4)}
    return pd.DataFrame({**numbers, **texts})


def train(table: pd.DataFrame) -> Any:
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    columns = make_column_transformer((encoder, make_column_selector(pattern="text")), remainder="passthrough")
    late = table["number0"] + np.random.default_rng(1).normal(size=len(table)) > 0
    return make_pipeline(columns, HistGradientBoostingClassifier(max_iter=100)).fit(table, late)


def asking(connection: http.client.HTTPConnection, body: bytes) -> Callable[[], object]:
    def ask() -> None:
        connection.request("POST", "/invocations", body, {"content-type": JSON})
        response = connection.getresponse()
        response.read()
        assert response.status == 200

    return ask


def in_turn(ways: dict[str, Callable[[], object]]) -> dict[str, tuple[float, float]]:
    taken: dict[str, list[float]] = {way: [] for way in ways}
    for i in range(ROUNDS + 50):
        for way, act in ways.items():
            began = time.perf_counter()
            act()
            if i >= 50:
                taken[way].append((time.perf_counter() - began) * 1000.0)
    return {way: (statistics.median(times), statistics.quantiles(times, n=100)[98]) for way, times in taken.items()}


async def load_of(address: Path | int, body: bytes) -> float:
    """Requests a second of many clients that ask one after another."""
    connector = aiohttp.UnixConnector(str(address)) if isinstance(address, Path) else aiohttp.TCPConnector()
    url = "http://localhost/" if isinstance(address, Path) else f"http://127.0.0.1:{address}/"
    answered = 0
    until = time.perf_counter() + LOAD_S

    async def client(session: aiohttp.ClientSession) -> None:
        nonlocal answered
        while time.perf_counter() < until:
            async with session.post(f"{url}invocations", data=body, headers={"content-type": JSON}) as response:
                assert response.status == 200
                await response.read()
                answered += 1

    async with aiohttp.ClientSession(connector=connector) as session:
        await asyncio.gather(*(client(session) for _ in range(CLIENTS)))
    return answered / LOAD_S


async def clients(path: str) -> dict[str, float]:
    """The same request with aiohttp's client and with ours, in turn."""
    backend = Backend(path)
    taken: dict[str, list[float]] = {"aiohttp's client": [], "the router's client": []}
    async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(path)) as session:
        for _ in range(ROUNDS):
            began = time.perf_counter()
            async with session.get("http://model/ping") as response:
                await response.read()
            between = time.perf_counter()
            await backend.ask(division.get(b"/ping"))
            taken["the router's client"].append((time.perf_counter() - between) * 1000.0)
            taken["aiohttp's client"].append((between - began) * 1000.0)
    backend.close()
    return {name: statistics.median(times) for name, times in taken.items()}
