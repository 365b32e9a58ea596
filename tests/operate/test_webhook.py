import ipaddress
import socket
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadworthy.nouns.errors import Code, Fault
from roadworthy.operate import webhook


class Receiver:
    """A real HTTP server that answers as told and remembers what it got."""

    def __init__(self):
        self.answers = []
        self.got = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.got.append((self.path, dict(self.headers), body))
                status = outer.answers.pop(0) if outer.answers else 204
                self.send_response(status)
                if 300 <= status < 400:
                    self.send_header("Location", f"http://127.0.0.1:{outer.port}/elsewhere")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()

    def stop(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def url(self, path="/hook?team=1"):
        return f"http://127.0.0.1:{self.port}{path}"


@pytest.fixture
def receiver():
    made = Receiver()
    yield made
    made.stop()


@pytest.fixture
def allowed(monkeypatch):
    monkeypatch.setenv(webhook.ALLOW, "127.0.0.1, localhost")


EVENT = webhook.cloud_event(
    kind="roadworthy.alert.opened",
    key="1-opened",
    source="/projects/p/monitors/m",
    subject="m@1",
    at=1.5,
    data={"a": 1},
)


def test_an_event_is_a_cloud_event_1_0():
    event = msgspec.json.decode(EVENT)
    assert event == {
        "specversion": "1.0",
        "id": "1-opened",
        "source": "/projects/p/monitors/m",
        "type": "roadworthy.alert.opened",
        "subject": "m@1",
        "time": "1970-01-01T00:00:01.500000Z",
        "datacontenttype": "application/json",
        "data": {"a": 1},
    }


def test_delivery(receiver, allowed):
    assert webhook.post(receiver.url(), EVENT) == 204
    path, headers, body = receiver.got[0]
    assert path == "/hook?team=1"
    assert headers["Content-Type"] == "application/cloudevents+json; charset=UTF-8"
    assert headers["Host"] == f"127.0.0.1:{receiver.port}"
    assert body == EVENT


def test_what_may_pass_is_tried_again_with_longer_pauses(receiver, allowed):
    receiver.answers = [500, 429, 200]
    waited = []
    assert webhook.post(receiver.url(), EVENT, pause=waited.append) == 200
    assert waited == [0.5, 1.0]


def test_it_gives_up(receiver, allowed):
    receiver.answers = [503] * 10
    with pytest.raises(Fault, match="answered 503") as caught:
        webhook.post(receiver.url(), EVENT, pause=lambda _: None)
    assert caught.value.code is Code.UNAVAILABLE
    assert len(receiver.got) == webhook.ATTEMPTS
    assert "team" not in str(caught.value), "a query may hold a secret"


@pytest.mark.parametrize("status", [301, 302, 307, 400, 404])
def test_refusals_and_redirects_end_it(receiver, allowed, status):
    receiver.answers = [status]
    with pytest.raises(Fault, match=f"answered {status}"):
        webhook.post(receiver.url(), EVENT, pause=lambda _: None)
    assert len(receiver.got) == 1


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "localhost", "2130706433", "0x7f.1", "127.1", "0.0.0.0", "[::1]", "[::ffff:127.0.0.1]"),
        *("169.254.169.254", "[fd00:ec2::254]", "10.0.0.8", "192.168.1.1", "172.16.0.1", "100.64.0.1", "[fe80::1]"),
        *("[::ffff:a9fe:a9fe]", "[64:ff9b::a9fe:a9fe]", "[2002:7f00:1::]", "224.0.0.1", "255.255.255.255"),
    ],
)
def test_addresses_that_are_not_public_are_refused(receiver, monkeypatch, host):
    monkeypatch.delenv(webhook.ALLOW, raising=False)
    with pytest.raises(Fault) as caught:
        webhook.post(f"http://{host}:{receiver.port}/", EVENT, attempts=1)
    # A machine without IPv6 may not resolve some of them at all.
    assert caught.value.code is Code.REFUSED or (host[0] == "[" and caught.value.code is Code.UNAVAILABLE)
    assert receiver.got == []


def test_one_inward_address_among_several_refuses_the_host(monkeypatch):
    monkeypatch.delenv(webhook.ALLOW, raising=False)
    entries = [(2, 1, 6, "", ("93.184.215.14", 443)), (2, 1, 6, "", ("10.0.0.1", 443))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **k: entries)
    with pytest.raises(Fault, match=r"10\.0\.0\.1"):
        webhook.resolve(urlsplit("https://example.test/"))


def test_the_connection_goes_to_the_address_that_was_checked(receiver, monkeypatch):
    """A name that changes between the check and the use (DNS rebinding) is asked once only."""
    asked = []
    monkeypatch.setenv(webhook.ALLOW, "hook.test")
    original = socket.getaddrinfo

    def resolver(host, *rest, **more):
        asked.append(host)
        return original("127.0.0.1" if host == "hook.test" else host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    assert webhook.post(f"http://hook.test:{receiver.port}/", EVENT) == 204
    assert asked.count("hook.test") == 1
    assert receiver.got[0][1]["Host"] == f"hook.test:{receiver.port}"


def test_allowing_a_port_allows_no_other(receiver, monkeypatch):
    monkeypatch.setenv(webhook.ALLOW, f"127.0.0.1:{receiver.port}")
    assert webhook.post(receiver.url(), EVENT) == 204
    monkeypatch.setenv(webhook.ALLOW, f"127.0.0.1:{receiver.port + 1}")
    with pytest.raises(Fault, match="not public"):
        webhook.post(receiver.url(), EVENT)


@pytest.mark.parametrize(
    "url",
    [
        *("ftp://example.com/", "file:///etc/passwd", "gopher://x/", "http://", "https:///path", "nothing"),
        *("http://user:pass@example.com/", "http://example.com:0/", "http://example.com:99999/", "http://a b/"),
        *("http://example.com/\r\nX: y", "http://[::1", "javascript:alert(1)"),
    ],
)
def test_what_is_no_url_is_invalid(url):
    with pytest.raises(Fault) as caught:
        webhook.post(url, EVENT)
    assert caught.value.code is Code.INVALID
    assert "pass" not in str(caught.value).replace("password", "")


def test_a_server_that_never_finishes_is_cut_off(allowed):
    listener = socket.create_server(("127.0.0.1", 0))
    stop = threading.Event()

    def trickle():
        connection, _ = listener.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 200 OK\r\n")
            while not stop.is_set():
                try:
                    connection.sendall(b"X-A: b\r\n" if not stop.wait(0.05) else b"")
                except OSError:
                    return

    thread = threading.Thread(target=trickle)
    thread.start()
    try:
        with pytest.raises(Fault, match="does not answer"):
            webhook.post(f"http://127.0.0.1:{listener.getsockname()[1]}/", EVENT, attempts=1, timeout_s=0.4)
    finally:
        stop.set()
        thread.join(10)
        listener.close()


def test_a_closed_port_is_unavailable(allowed):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(Fault, match="does not answer") as caught:
        webhook.post(f"http://127.0.0.1:{port}/", EVENT, pause=lambda _: None)
    assert webhook.may_be_tried_again(caught.value)


def test_certificates_are_checked(allowed, tmp_path):
    import datetime as dt

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = tmp_path / "tls.pem"
    pem.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        connection, _ = listener.accept()
        with connection:
            try:
                context.wrap_socket(connection, server_side=True)
            except OSError:
                return

    thread = threading.Thread(target=serve)
    thread.start()
    with pytest.raises(Fault, match=r"(?i)certificate.verify.failed"):
        webhook.post(f"https://localhost:{listener.getsockname()[1]}/", EVENT, attempts=1)
    thread.join(10)
    listener.close()


@given(st.integers(0, 2**32 - 1))
def test_an_address_inside_another_is_judged_as_itself(number):
    inner = ipaddress.IPv4Address(number)
    mapped = ipaddress.IPv6Address((0xFFFF << 32) | number)
    nat64 = ipaddress.IPv6Address(int(ipaddress.IPv6Address("64:ff9b::")) | number)
    sixtofour = ipaddress.IPv6Address((0x2002 << 112) | (number << 80))
    assert {webhook.is_public(a) for a in (mapped, nat64, sixtofour)} == {webhook.is_public(inner)}
