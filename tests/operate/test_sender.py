import datetime as dt
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec
import numpy as np
import pandas as pd
import pytest

from roadworthy.nouns.errors import Code, Fault
from roadworthy.operate import replay
from roadworthy.operate.sender import Chunk, Sender, body_of


@pytest.fixture
def target():
    """A real HTTP server: `target.got` has what came, `target.answers` what to answer first."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            with server.lock:
                status = server.answers.pop(0) if server.answers else 200
                if status == 200:
                    server.got.append((self.path, self.headers["X-Request-Id"], msgspec.json.decode(body)))
                server.connections.add(self.client_address)
            if status == 0:
                self.close_connection = True
                return
            said = b'{"error": "carrier is missing"}'
            self.send_response(status)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.got, server.answers, server.connections, server.lock = [], [], set(), threading.Lock()
    server.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def sender(target):
    made = Sender(target.url, connections=3, wait=lambda _: None)
    yield made
    made.close()


def chunks(n, size=10):
    return [Chunk(f"r-{i}", pd.DataFrame({"x": range(i * size, (i + 1) * size)})) for i in range(n)]


def test_everything_is_sent_once_over_a_few_connections(target, sender):
    assert list(sender.send(chunks(7))) == [30, 30, 10]
    assert sorted(request for _, request, _ in target.got) == [f"r-{i}" for i in range(7)]
    assert {path for path, _, _ in target.got} == {"/invocations"}
    assert sorted(x for _, _, body in target.got for (x,) in body["dataframe_split"]["data"]) == list(range(70))
    assert len(target.connections) <= 3


def test_what_may_pass_is_tried_again(target, sender):
    target.answers = [503, 0, 502]
    assert list(sender.send(chunks(1))) == [10]
    assert len(target.got) == 1


def test_a_refused_row_ends_it_with_what_the_target_said(target, sender):
    target.answers = [422]
    with pytest.raises(Fault, match="carrier is missing") as caught:
        list(sender.send(chunks(1)))
    assert caught.value.code is Code.INVALID


def test_a_target_that_is_gone(target):
    gone = Sender("http://127.0.0.1:1", wait=lambda _: None)
    with pytest.raises(Fault, match="does not answer") as caught:
        list(gone.send(chunks(1)))
    assert caught.value.code is Code.UNAVAILABLE
    gone.close()


def test_a_table_as_json():
    table = pd.DataFrame(
        {
            "at": [pd.Timestamp("2013-04-01T10:00:00Z"), pd.NaT],
            "x": [1.5, np.nan],
            "n": pd.array([1, None], dtype="Int64"),
            "s": ["a", None],
            "b": [True, False],
            "i": np.array([1, 2], dtype="int32"),
        }
    )
    assert msgspec.json.decode(body_of(table))["dataframe_split"] == {
        "columns": ["at", "x", "n", "s", "b", "i"],
        "data": [["2013-04-01T10:00:00+00:00", 1.5, 1, "a", True, 1], [None, None, None, None, False, 2]],
    }


def test_chunks_say_where_their_rows_stand():
    table = pd.DataFrame({"x": range(1200)})
    assert [c.request for c in replay._chunks("p-3-", table, range(1200))] == ["p-3-0", "p-3-500", "p-3-1000"]
    some = replay._chunks("p-3-", table, [0, 1, 2, 700, 701, 1199])
    assert [(c.request, c.table["x"].tolist()) for c in some] == [
        ("p-3-0", [0, 1, 2]),
        ("p-3-700", [700, 701]),
        ("p-3-1199", [1199]),
    ]


def test_a_batch_begins_with_its_first_row():
    moment = dt.datetime(2013, 4, 2, tzinfo=dt.UTC)
    rows = pd.DataFrame({"at": ["2013-04-01T06:00:00Z", "2013-04-01T05:00:00Z"]})
    assert replay._batch((moment, rows, None), "x", "at").begins == moment.timestamp() - 19 * 3600
    assert replay._batch((moment.replace(tzinfo=None), None, None), "x", "at").begins == moment.timestamp()
    with pytest.raises(Fault, match="no column 'when'"):
        replay._batch((moment, rows, None), "x", "when")


@pytest.mark.parametrize(
    "item",
    [None, (1, 2, 3), (dt.datetime(2013, 1, 1), pd.DataFrame()), (dt.datetime(2013, 1, 1), [1], None)],
)
def test_what_is_no_batch(item):
    with pytest.raises(Fault) as caught:
        replay._batch(item, "source:year, batch 0", "at")
    assert caught.value.code is Code.INVALID
    assert caught.value.where == "source:year, batch 0"
