"""Tell someone else's server of an alert: CloudEvents 1.0 in structured JSON over HTTP(S).

In: an event and a URL from the project file. Out: delivered, or a `Fault` saying why not. Called by alerts.py.

A webhook's URL makes this machine send a request, so it may not point inwards (server-side request forgery): the host
is resolved once, every address it has must be public, and the connection goes to that very address, so that a name
which changes between check and use gains nothing. Redirects and proxies are not followed.
"""

import contextlib
import datetime as dt
import http.client
import ipaddress
import os
import socket
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

import msgspec

from roadworthy.nouns.errors import Code, Fault, invalid, refused, unavailable
from roadworthy.store.clock import SystemClock

if TYPE_CHECKING:
    import ssl

# Hosts (or host:port) that may be called although their addresses are not public; separated by commas.
ALLOW = "ROADWORTHY_WEBHOOK_ALLOW"

CONNECT_TIMEOUT_S = 5.0
ATTEMPT_TIMEOUT_S = 15.0
ATTEMPTS = 3
PAUSE_S = 0.5
ANSWER_BYTES_MAX = 16_384
_CLOUD_EVENT = {"Content-Type": "application/cloudevents+json; charset=UTF-8"}
NAT64 = ipaddress.ip_network("64:ff9b::/96")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def cloud_event(*, kind: str, key: str, source: str, subject: str, at: float, data: Any) -> bytes:
    """A CloudEvents 1.0 event in structured JSON.

    Args:
        kind: the type, such as `roadworthy.alert.opened`.
        key: unique with `source`: a receiver that sees it twice has seen one event.
        source: a URI reference to what the event is of, such as `/projects/flights/monitors/drift`.
        subject: what within it.
        at: seconds since the epoch.
        data: JSON-like.
    """
    moment = dt.datetime.fromtimestamp(at, dt.UTC)
    return msgspec.json.encode(
        {
            "specversion": "1.0",
            "id": key,
            "source": source,
            "type": kind,
            "subject": subject,
            "time": moment.isoformat().replace("+00:00", "Z"),
            "datacontenttype": "application/json",
            "data": data,
        }
    )


def post(
    url: str,
    body: bytes,
    *,
    attempts: int = ATTEMPTS,
    timeout_s: float = ATTEMPT_TIMEOUT_S,
    pause: Callable[[float], None] | None = None,
) -> int:
    """Deliver an event; the HTTP status with which it was accepted.

    Args:
        url: http or https.
        body: made by `cloud_event`.
        attempts: how often to try, with a pause that doubles; refusals (4xx but 408 and 429) are not tried again.
        timeout_s: limit for one attempt from connecting to the answer's end.
        pause: waits so many seconds; by the machine's clock, whatever the project's, when None.

    Raises:
        Fault: invalid for what is no URL, refused for an address that is not public, unavailable otherwise.
    """
    parts = split(url)
    address = resolve(parts)
    wait = pause or SystemClock().sleep
    for tried in range(attempts):
        if tried:
            wait(PAUSE_S * 2 ** (tried - 1))
        try:
            status, _ = attempt(parts, address, body, _CLOUD_EVENT, timeout_s=timeout_s)
        except (OSError, http.client.HTTPException) as problem:
            said = f"does not answer: {problem or type(problem).__name__}"
            continue
        if 200 <= status < 300:
            return status
        said = f"answered {status}"
        if 300 <= status < 500 and status not in (408, 429):
            break
    raise unavailable(f"the webhook {said}", where=shown(url), fix="the alert is kept and told again at the next watch")


def shown(url: str) -> str:
    """A webhook's URL without what may be secret in it: its path, query and credentials."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}/…"


def resolve(parts: SplitResult, *, inwards: bool = False) -> tuple[str, int]:
    """The one address that will be connected to.

    Args:
        inwards: whether it may be an address that is not public, whatever the host.

    Raises:
        Fault: refused when the host has an address that is not public and is not allowed by name.
    """
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as problem:
        raise unavailable(f"the webhook's host is not known: {problem}", where=host) from None
    addresses = [str(entry[4][0]) for entry in found]
    inward = [address for address in addresses if not is_public(ipaddress.ip_address(address.split("%")[0]))]
    if inward and not inwards and not allowed(host, port):
        raise refused(
            f"the webhook's host has an address that is not public: {inward[0]}",
            where=host,
            fix=f"if it is meant, allow it by name: {ALLOW}={host}",
        )
    return addresses[0], port


def is_public(address: Address) -> bool:
    """Whether an address is of the public internet, also when it stands inside another (mapped, 6to4, NAT64)."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address in NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
        if address.teredo is not None:
            return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def split(url: str) -> SplitResult:
    """A webhook's URL taken apart.

    Raises:
        Fault: invalid for what is no URL of http or https, or holds credentials.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as problem:
        raise invalid(f"the webhook is no URL: {problem}", where="webhook") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise invalid("the webhook is no http or https URL", where=shown(url) if parts.hostname else "webhook")
    if parts.username or parts.password:
        raise invalid("a webhook's URL may hold no user name or password", where=shown(url))
    if any(ord(letter) <= 32 or ord(letter) == 127 for letter in url):
        raise invalid("the webhook's URL holds spaces or control characters", where="webhook")
    return parts


def allowed(host: str, port: int) -> bool:
    """Whether whoever runs this machine allowed a host by name, whatever its address."""
    names = {name.strip().lower() for name in os.environ.get(ALLOW, "").split(",")}
    return bool({host.lower(), f"{host.lower()}:{port}"} & names)


def attempt(
    parts: SplitResult,
    address: tuple[str, int],
    body: bytes,
    headers: Mapping[str, str],
    *,
    timeout_s: float = ATTEMPT_TIMEOUT_S,
) -> tuple[int, bytes]:
    """Send a body once; the status and the beginning of the answer.

    Args:
        parts: from `split`.
        address: from `resolve`.

    Raises:
        OSError, http.client.HTTPException: when there is no whole answer.
    """
    connection = _Pinned(parts, address)
    # A server that answers a byte at a time never trips the socket's own timeout.
    alarm = threading.Timer(timeout_s, connection.cut)
    alarm.daemon = True
    alarm.start()
    try:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        sent = {**headers, "User-Agent": "roadworthy", "Connection": "close"}
        connection.request("POST", target, body=body, headers=sent)
        answer = connection.getresponse()
        said = answer.read(ANSWER_BYTES_MAX)
        if connection.was_cut:
            # http.client takes the end of the stream for the end of the headers.
            raise TimeoutError(f"no whole answer within {timeout_s:g} s")
        return answer.status, said
    except ValueError as problem:
        raise OSError(str(problem)) from None
    finally:
        alarm.cancel()
        connection.close()


class _Pinned(http.client.HTTPConnection):
    """A connection to one address, whatever the name in the URL resolves to by now."""

    def __init__(self, parts: SplitResult, address: tuple[str, int]) -> None:
        default = http.client.HTTPS_PORT if parts.scheme == "https" else http.client.HTTP_PORT
        super().__init__(parts.hostname or "", parts.port or default, timeout=CONNECT_TIMEOUT_S)
        self.default_port = default
        self.was_cut = False
        self._address = address
        self._tls = _tls() if parts.scheme == "https" else None

    def connect(self) -> None:
        self.sock = socket.create_connection(self._address, timeout=CONNECT_TIMEOUT_S)
        if self._tls is not None:
            self.sock = self._tls.wrap_socket(self.sock, server_hostname=self.host)

    def cut(self) -> None:
        """End it from another thread."""
        self.was_cut = True
        if self.sock is not None:
            with contextlib.suppress(OSError):
                self.sock.shutdown(socket.SHUT_RDWR)


def _tls() -> "ssl.SSLContext":
    import ssl

    return ssl.create_default_context()


def may_be_tried_again(problem: Fault) -> bool:
    """Whether a later delivery may succeed: not when the URL itself is wrong or refused."""
    return problem.code is Code.UNAVAILABLE
