"""Entrances: whether a server may start where it is told to listen, and how it listens.

In: an address, TLS files, what the operator said. Out: a listening socket, or a refusal that says what would pass.
On any other address than the loopback one nobody comes in unknown, and nothing goes over the wire in the clear unless
the operator says so. Called by `rw server`.
"""

import ipaddress
import socket
import ssl
from typing import NamedTuple

from roadworthy.faces.server.identity import tokens, users
from roadworthy.faces.server.server import Settings
from roadworthy.nouns.errors import conflict, invalid, refused
from roadworthy.serving.guard import Certificate
from roadworthy.store.store import Store

BACKLOG = 4096


class Place(NamedTuple):
    """Where a server listens: a host's name or address, a port, and its certificate if it speaks TLS."""

    host: str
    port: int
    certificate: Certificate | None = None

    @property
    def loopback(self) -> bool:
        return is_loopback(self.host)


def check(store: Store, settings: Settings, place: Place, *, plain_http: bool = False) -> None:
    """Refuse to start where anybody could come in, or could listen.

    Raises:
        Fault: refused, with what would pass; invalid for a certificate that cannot be used.
    """
    if place.certificate is not None:
        _try(place.certificate)
    if settings.login and not _anybody(store, settings):
        raise refused(
            "nobody could come in: there is no token, no user and no identity provider",
            where=place.host,
            fix="make a token: rw server token create NAME --role admin"
            "\n  or a user: rw server user add NAME --role admin"
            "\n  or set up an identity provider: [server.oidc] in a file that --config names",
        )
    if not place.loopback and place.certificate is None and not (settings.behind_proxy or plain_http):
        raise refused(
            "tokens, passwords and data would go over the network in the clear",
            where=place.host,
            fix="give --tls-cert and --tls-key"
            "\n  or, if a proxy of yours speaks TLS before it, --behind-proxy"
            "\n  or, if nobody can listen on that network, --plain-http",
        )


def listen(place: Place) -> socket.socket:
    """A listening socket.

    Raises:
        Fault: invalid for a host that there is not, conflict when the port is taken.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            place.host, place.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as problem:
        raise invalid(f"no such address: {problem.strerror}", where=place.host, fix="--host 0.0.0.0 is all") from None
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as problem:
        listener.close()
        where = f"{place.host}:{place.port}"
        raise conflict(
            f"the port cannot be listened on: {problem.strerror}", where=where, fix="choose another: --port"
        ) from None
    listener.setblocking(False)
    return listener


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches it."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _anybody(store: Store, settings: Settings) -> bool:
    if settings.oidc is not None or settings.workloads:
        return True
    with store.read() as reader:
        return users.any_active(reader) or tokens.any_valid(reader, store.clock.now())


def _try(certificate: Certificate) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate.chain, certificate.key)
    except (OSError, ssl.SSLError) as problem:
        raise invalid(
            f"the certificate and its key cannot be used: {problem}",
            where=f"{certificate.chain}, {certificate.key}",
            fix="give two PEM files that belong together",
        ) from None
