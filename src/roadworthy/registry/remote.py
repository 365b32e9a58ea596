"""Remote: a client of MLflow's REST wire, for whoever keeps runs elsewhere.

In: a tracking URI and the credentials of the environment, as MLflow's own clients find them (`MLFLOW_TRACKING_TOKEN`,
`_USERNAME`, `_PASSWORD`, `_SERVER_CERT_PATH`; `DATABRICKS_HOST`, `_TOKEN`, or a profile of `~/.databrickscfg`).
Out: decoded answers. What passes by itself (429, 502, 503, 504, a lost connection) is tried again. Called by
registry/forward.py and faces/moving.
"""

import base64
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from roadworthy.nouns.errors import Code, Fault, invalid, refused, unavailable
from roadworthy.store.clock import Clock, SystemClock

# http.client and ssl are imported on use: a run that is sent nowhere need not wait for them.
if TYPE_CHECKING:
    import http.client

API = "/api/2.0/mlflow"
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
TIMEOUT_S = 60.0
ATTEMPTS = 6
PAUSE_S = 0.2
PAUSE_S_MAX = 10.0
PASSING = frozenset({429, 502, 503, 504})
CHUNK = 1 << 20
SHOWN_MAX = 300
ANSWER_BYTES_MAX = 256 << 20
PAGES_MAX = 1_000_000


class Address(NamedTuple):
    """Where a tracking server is, and the header by which it knows us (empty for none)."""

    url: str
    authorization: str


def address(uri: str, environment: Mapping[str, str] | None = None) -> Address:
    """Where a tracking URI leads.

    Args:
        uri: `http(s)://…`, `databricks`, or `databricks://PROFILE`.
        environment: the process's unless given.

    Raises:
        Fault: invalid for another kind of URI, or when a Databricks profile says nothing.
    """
    known = os.environ if environment is None else environment
    scheme, _, profile = uri.partition("://")
    if scheme == "databricks":
        return _databricks(profile, known)
    parts = urlsplit(uri)
    if scheme not in ("http", "https") or not parts.hostname:
        raise invalid("not the URI of a tracking server", where=uri[:SHOWN_MAX], fix="http://HOST:PORT, or databricks")
    name, password = parts.username or "", parts.password or ""
    name = name or known.get("MLFLOW_TRACKING_USERNAME", "")
    password = password or known.get("MLFLOW_TRACKING_PASSWORD", "")
    host = parts.hostname if parts.port is None else f"{parts.hostname}:{parts.port}"
    url = f"{scheme}://{host}{parts.path.rstrip('/')}"
    if token := known.get("MLFLOW_TRACKING_TOKEN"):
        return Address(url, f"Bearer {token}")
    if name:
        return Address(url, "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode())
    return Address(url, "")


class Remote:
    """A tracking server elsewhere.

    Args:
        uri: as `address` takes it.
        clock: waits between attempts.
    """

    def __init__(self, uri: str, *, clock: Clock | None = None) -> None:
        self.address = address(uri)
        parts = urlsplit(self.address.url)
        self._host = parts.hostname or ""
        self._port = parts.port
        self._tls = parts.scheme == "https"
        self._base = parts.path
        self._clock = clock or SystemClock()
        self._connection: http.client.HTTPConnection | None = None

    def get(self, path: str, /, **fields: Any) -> dict[str, Any]:
        """The answer to GET `/api/2.0/mlflow/<path>`; list fields are repeated."""
        query = urlencode({k: v for k, v in fields.items() if v not in (None, "")}, doseq=True)
        return self.ask("GET", f"{API}/{path}" + (f"?{query}" if query else ""))

    def post(self, path: str, /, body: Mapping[str, Any], *, method: str = "POST") -> dict[str, Any]:
        """The answer to POST `/api/2.0/mlflow/<path>`."""
        return self.ask(method, f"{API}/{path}", msgspec.json.encode(body))

    def ask(self, method: str, path: str, body: bytes | None = None) -> dict[str, Any]:
        """The decoded answer to a request of any path from the server's root."""
        answer = self._ask(method, path, body, {"content-type": "application/json"} if body is not None else {})
        content = answer.read(ANSWER_BYTES_MAX)
        try:
            found = msgspec.json.decode(content) if content.strip() else {}
        except msgspec.DecodeError:
            raise invalid(
                "the server does not speak MLflow's protocol", where=self.address.url, fix="check the tracking URI"
            ) from None
        return found if isinstance(found, dict) else {}

    def pages(self, path: str, body: Mapping[str, Any], field: str, *, get: bool = False) -> Iterator[dict[str, Any]]:
        """Every item of a paged answer."""
        token = ""
        for _ in range(PAGES_MAX):
            asked = {**body, **({"page_token": token} if token else {})}
            found = self.get(path, **asked) if get else self.post(path, asked)
            yield from found.get(field) or ()
            token = found.get("next_page_token") or ""
            if not token:
                return

    def download(self, path: str, target: Path) -> None:
        """Write the body of GET `path` (from the server's root, encoded) to a file."""
        answer = self._ask("GET", path, None, {})
        with target.open("wb") as file:
            while chunk := answer.read(CHUNK):
                file.write(chunk)

    def upload(self, artifact: str, source: Path) -> None:
        """PUT a file through the server's artifact proxy."""
        with source.open("rb") as file:
            headers = {"content-length": str(source.stat().st_size), "content-type": "application/octet-stream"}
            self._ask("PUT", f"{ARTIFACTS}/{quote(artifact)}", file, headers).read()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _ask(self, method: str, path: str, body: Any, headers: dict[str, str]) -> "http.client.HTTPResponse":
        import http.client

        sent = dict(headers)
        if self.address.authorization:
            sent["authorization"] = self.address.authorization
        pause, last = PAUSE_S, ""
        for attempt in range(ATTEMPTS):
            if attempt:
                self._clock.sleep(pause)
                pause = min(2 * pause, PAUSE_S_MAX)
                if hasattr(body, "seek"):
                    body.seek(0)
            try:
                connection = self._connect()
                connection.request(method, self._base + path, body, sent)
                answer = connection.getresponse()
            except (OSError, http.client.HTTPException) as problem:
                self.close()
                last = str(problem) or type(problem).__name__
                continue
            if answer.status < 300:
                return answer
            content = answer.read(64 << 10)
            last = f"{answer.status} {_said(content)}"
            if answer.status not in PASSING:
                raise _fault(answer.status, content, f"{self.address.url}{path.partition('?')[0]}")
        raise unavailable(f"the tracking server does not answer: {last[:SHOWN_MAX]}", where=self.address.url)

    def _connect(self) -> "http.client.HTTPConnection":
        import http.client

        if self._connection is None:
            if self._tls:
                import ssl

                context = ssl.create_default_context(cafile=os.environ.get("MLFLOW_TRACKING_SERVER_CERT_PATH"))
                self._connection = http.client.HTTPSConnection(
                    self._host, self._port, timeout=TIMEOUT_S, context=context
                )
            else:
                self._connection = http.client.HTTPConnection(self._host, self._port, timeout=TIMEOUT_S)
        return self._connection


def _databricks(profile: str, known: Mapping[str, str]) -> Address:
    host, token = known.get("DATABRICKS_HOST", ""), known.get("DATABRICKS_TOKEN", "")
    if profile or not (host and token):
        import configparser

        path = Path(known.get("DATABRICKS_CONFIG_FILE") or "~/.databrickscfg").expanduser()
        config = configparser.ConfigParser(interpolation=None)
        config.read(path)
        name = profile or known.get("DATABRICKS_CONFIG_PROFILE") or "DEFAULT"
        if name in config:
            host, token = config[name].get("host", host), config[name].get("token", token)
    if not (host and token):
        raise invalid(
            "nothing says which Databricks workspace is meant",
            where=f"databricks://{profile}" if profile else "databricks",
            fix="set DATABRICKS_HOST and DATABRICKS_TOKEN, or write a profile with host and token to ~/.databrickscfg",
        )
    url = host.rstrip("/")
    return Address(url if "://" in url else f"https://{url}", f"Bearer {token}")


def _said(content: bytes) -> str:
    try:
        found = msgspec.json.decode(content)
    except msgspec.DecodeError:
        return content.decode("utf-8", "replace").strip()[:SHOWN_MAX]
    message = found.get("message") if isinstance(found, dict) else None
    return str(message or found)[:SHOWN_MAX]


def _fault(status: int, content: bytes, where: str) -> Fault:
    said = _said(content)
    if status in (401, 403):
        return refused(
            f"the tracking server refuses: {said}", where=where,
            fix="set MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD",
        )  # fmt: skip
    code = {404: Code.NOT_FOUND, 409: Code.CONFLICT}.get(status, Code.INVALID if status < 500 else Code.UNAVAILABLE)
    if b"RESOURCE_ALREADY_EXISTS" in content:
        code = Code.CONFLICT
    return Fault(code, f"the tracking server says {status}: {said}", where=where)
