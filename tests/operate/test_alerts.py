import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec
import pytest

from roadworthy.operate import alerts, monitors, webhook, windows
from roadworthy.store import log
from tests.operate.conftest import DAY, MIDNIGHT, Served


@pytest.fixture
def hook(monkeypatch):
    """A webhook that really listens: `hook.url`, `hook.events`, and `hook.status` to answer with."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if server.status == 204:
                server.events.append(msgspec.json.decode(body))
            self.send_response(server.status)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.events, server.status = [], 204
    server.url = f"http://127.0.0.1:{server.server_address[1]}/alerts"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    monkeypatch.setenv(webhook.ALLOW, "127.0.0.1")
    monkeypatch.setattr(webhook, "PAUSE_S", 0.001)
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def watch(store, place, day, said=None):
    return monitors.watch(store, place, until=MIDNIGHT + day * DAY, progress=None if said is None else said.append)


def test_opened_and_closed_are_told_once_each(store, served, place, hook):
    model = served.register()
    for day, shift in enumerate([2.0, 2.0, 0.0, 0.0]):
        served.serve(model, MIDNIGHT + day * DAY, MIDNIGHT + (day + 1) * DAY, seed=day + 1, shift=shift)
    spot = place("drift.large.count == 0", webhook=hook.url)
    for day in (1, 2, 3, 4):
        watch(store, spot, day)
    opened, closed = hook.events
    assert (opened["type"], closed["type"]) == ("roadworthy.alert.opened", "roadworthy.alert.closed")
    assert opened["specversion"] == "1.0"
    assert opened["source"] == "/projects/p/monitors/drift"
    assert opened["subject"] == "late@1"
    assert opened["id"] != closed["id"]
    assert opened["data"]["outcomes"][0]["rule"] == "drift.large.count == 0"
    assert closed["data"]["closed_at"] == MIDNIGHT + 3 * DAY
    assert alerts.listing(store, "p")[0].told == ("opened", "closed")


def test_an_alert_that_could_not_be_told_is_told_later(store, served, place, hook):
    served.serve(served.register(), MIDNIGHT, MIDNIGHT + DAY, shift=2.0)
    spot = place("drift.large.count == 0", webhook=hook.url)
    hook.status = 503
    said = []
    watch(store, spot, 1, said)
    assert "webhook answered 503" in said[-1]
    assert "/alerts" not in said[-1]
    assert alerts.open_alerts(store, "p")[0].attempts == 1
    hook.status = 204
    watch(store, spot, 1)
    assert [e["type"] for e in hook.events] == ["roadworthy.alert.opened"]
    with store.read() as reader:
        kinds = [e.kind for e in log.newest(reader)]
    assert kinds[:2] == ["alert.told", "alert.untold"]


def test_a_webhook_that_points_inwards_is_refused_and_not_tried_again(store, served, place, hook, monkeypatch):
    monkeypatch.delenv(webhook.ALLOW)
    served.serve(served.register(), MIDNIGHT, MIDNIGHT + DAY, shift=2.0)
    said = []
    watch(store, place("drift.large.count == 0", webhook=hook.url), 1, said)
    assert "not public" in said[-1]
    said.clear()
    watch(store, place("drift.large.count == 0", webhook=hook.url), 1, said)
    assert said == []
    assert hook.events == []
    assert len(alerts.open_alerts(store, "p")) == 1, "the alert itself is kept"


def test_a_second_rule_that_breaks_joins_the_open_alert(store, served, place):
    model = served.register()
    served.serve(model, MIDNIGHT, MIDNIGHT + DAY, shift=2.0)
    spot = place("drift.large.count == 0", "volume.change > -0.5")
    watch(store, spot, 1)
    served.serve(model, MIDNIGHT + DAY, MIDNIGHT + 2 * DAY, n=300, seed=4, shift=2.0)
    said = []
    watch(store, spot, 2, said)
    assert len(said) == 1
    (alert,) = alerts.open_alerts(store, "p")
    assert [o.rule for o in alert.outcomes] == ["drift.large.count == 0", "volume.change > -0.5"]
    served.serve(model, MIDNIGHT + 2 * DAY, MIDNIGHT + 3 * DAY, n=300, seed=5)
    watch(store, spot, 3)
    assert alerts.open_alerts(store, "p") == []


def test_one_breach_mended_as_another_begins_is_two_alerts(store, served, place):
    model = served.register()
    served.serve(model, MIDNIGHT, MIDNIGHT + DAY, shift=2.0)
    spot = place("drift.large.count == 0", "volume.change > -0.5")
    watch(store, spot, 1)
    served.serve(model, MIDNIGHT + DAY, MIDNIGHT + 2 * DAY, n=300, seed=4)
    watch(store, spot, 2)
    second, first = alerts.listing(store, "p")
    assert first.closed_at == MIDNIGHT + 2 * DAY
    assert (second.closed_at, [o.rule for o in second.outcomes]) == (None, ["volume.change > -0.5"])


def test_the_next_version_closes_its_predecessors_alert(store, served, place):
    first, second = served.register(seed=0), served.register(seed=5)
    served.serve(first, MIDNIGHT, MIDNIGHT + DAY, shift=2.0)
    served.serve(second, MIDNIGHT + DAY, MIDNIGHT + 2 * DAY, seed=2)
    spot = place("drift.large.count == 0")
    watch(store, spot, 1)
    assert len(alerts.open_alerts(store, "p")) == 1
    watch(store, spot, 2)
    assert alerts.open_alerts(store, "p") == []


def test_two_monitors_alert_apart(store, served, place):
    from roadworthy.nouns.project import MonitorSpec

    served.serve(served.register(), MIDNIGHT, MIDNIGHT + DAY, shift=2.0)
    spot = place("drift.large.count == 0")
    more = MonitorSpec(rules=("volume.rows > 5000",), window="1d", min_rows=10)
    project = msgspec.structs.replace(spot.project, monitor={**spot.project.monitor, "volume": more})
    watch(store, msgspec.structs.replace(spot, project=project), 1)
    assert sorted(a.monitor for a in alerts.open_alerts(store, "p")) == ["drift", "volume"]


def test_both_engines_keep_windows_and_alerts(any_store, place):
    served = Served(any_store)
    model = served.register()
    for day, shift in enumerate([2.0, 0.0]):
        served.serve(model, MIDNIGHT + day * DAY, MIDNIGHT + (day + 1) * DAY, seed=day + 1, shift=shift)
    spot = place("drift.large.count == 0")
    watch(any_store, spot, 1)
    assert len(alerts.open_alerts(any_store, "p")) == 1
    watch(any_store, spot, 2)
    assert alerts.open_alerts(any_store, "p") == []
    assert [w.start for w in windows.listing(any_store, "p")] == [MIDNIGHT, MIDNIGHT + DAY]
    assert windows.extent(any_store, "p", "drift", DAY) == (MIDNIGHT, MIDNIGHT + DAY)
    assert windows.extent(any_store, "p", "drift", 2 * DAY) is None
