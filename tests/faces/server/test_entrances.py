"""Entrances: a server does not start where anybody could come in or listen."""

import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from roadworthy.faces.server import entrances
from roadworthy.faces.server.entrances import Place
from roadworthy.faces.server.identity import tokens
from roadworthy.faces.server.server import Settings
from roadworthy.nouns.errors import Code, Fault
from roadworthy.serving.guard import Certificate
from roadworthy.store.clock import SimulatedClock
from roadworthy.store.store import Store

EXPOSED = Settings(login=True, exposed=True)


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    chain, key = str(tmp_path / "chain.pem"), str(tmp_path / "key.pem")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key,
         "-out", chain, "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
        check=True, capture_output=True,
    )  # fmt: skip
    return Certificate(chain, key)


def refused(work: Callable[[], None]) -> str:
    with pytest.raises(Fault) as fault:
        work()
    return f"{fault.value.what} {fault.value.fix}"


def test_beyond_this_machine_somebody_must_be_able_to_come_in(store: Store, clock: SimulatedClock) -> None:
    place = Place("0.0.0.0", 0)
    assert "rw server token create" in refused(lambda: entrances.check(store, EXPOSED, place, plain_http=True))
    tokens.create(store, "a", {"*": "admin"}, days=1)
    entrances.check(store, EXPOSED, place, plain_http=True)
    clock.sleep(90_000)
    assert "nobody could come in" in refused(lambda: entrances.check(store, EXPOSED, place, plain_http=True))


def test_beyond_this_machine_nothing_goes_in_the_clear_unasked(store: Store, certificate: Certificate) -> None:
    tokens.create(store, "a", {"*": "admin"}, days=1)
    assert "--tls-cert" in refused(lambda: entrances.check(store, EXPOSED, Place("10.0.0.1", 0)))
    entrances.check(store, EXPOSED, Place("10.0.0.1", 0, certificate))
    entrances.check(store, Settings(login=True, behind_proxy=True), Place("10.0.0.1", 0))


def test_on_this_machine_nothing_is_asked(store: Store) -> None:
    for host in ("127.0.0.1", "localhost", "::1", "127.9.9.9"):
        entrances.check(store, Settings(), Place(host, 0))


def test_a_certificate_is_tried_before_anything_listens(store: Store, certificate: Certificate, tmp_path: Path) -> None:
    (tmp_path / "bad.pem").write_text("not a certificate")
    for bad in (Certificate(str(tmp_path / "bad.pem"), certificate.key), Certificate("/nowhere", certificate.key)):
        assert "PEM" in refused(lambda bad=bad: entrances.check(store, Settings(), Place("127.0.0.1", 0, bad)))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0"])
def test_it_listens_where_it_is_told(host: str) -> None:
    with (
        entrances.listen(Place(host, 0)) as listener,
        socket.create_connection(("127.0.0.1", listener.getsockname()[1])),
    ):
        pass


def test_what_cannot_be_listened_on_is_said() -> None:
    with entrances.listen(Place("127.0.0.1", 0)) as listener:
        with pytest.raises(Fault) as fault:
            entrances.listen(Place("127.0.0.1", listener.getsockname()[1]))
        assert fault.value.code is Code.CONFLICT
    with pytest.raises(Fault) as fault:
        entrances.listen(Place("no.such.host.invalid", 0))
    assert fault.value.code is Code.INVALID
