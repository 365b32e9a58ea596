"""Login: the pages by which people come in with a browser, by a password or through an identity provider.

In: a form, or the provider's answer. Out: a session's cookie, which no script can read and no other site can send with
what changes something. Programs need none of this: they send a token with each request.
"""

import html
from functools import partial
from urllib.parse import quote, unquote, urlsplit

import msgspec

from roadworthy.faces.server.access import LOGIN, sent_cookie
from roadworthy.faces.server.errors import WireError
from roadworthy.faces.server.http import Reply, Request, Route, form, header
from roadworthy.faces.server.identity import sessions, users
from roadworthy.faces.server.identity.attempts import Throttled
from roadworthy.faces.server.identity.door import COOKIE
from roadworthy.faces.server.identity.oidc import Person
from roadworthy.faces.server.identity.who import NOBODY, Role
from roadworthy.faces.server.server import Server
from roadworthy.nouns.errors import refused
from roadworthy.store.store import Store

FORM_BYTES_MAX = 8 << 10
FORM_FIELDS_MAX = 10
SEED = "rw_login"
SEED_S = 600
CALLBACK = "/login/callback"
_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Roadworthy</title>
<style>body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 22rem; margin: 15vh auto; padding: 0 1rem }}
input, button, a.b {{ font: inherit; width: 100%; box-sizing: border-box; padding: .5rem; margin: .25rem 0;
display: block }}
.w {{ color: #b00020 }}</style>
<h1>Roadworthy</h1>
{said}
{provider}
<form method="post" action="/login">
<label>User <input name="user" autocomplete="username" required></label>
<label>Password <input name="password" type="password" autocomplete="current-password" required></label>
<input type="hidden" name="next" value="{next}">
<button>Log in</button>
</form></html>
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
_PAGE_HEADERS = (
    header("content-security-policy", _POLICY),
    header("x-frame-options", "DENY"),
    header("referrer-policy", "no-referrer"),
)


async def page(server: Server, request: Request) -> Reply:
    return _page(server, 200, "", _local(request.field("next", "/")))


async def by_password(server: Server, request: Request) -> Reply:
    fields = form(request.body, FORM_FIELDS_MAX)
    name, password, back = (fields.get(key, [""])[-1] for key in ("user", "password", "next"))
    back = _local(back)
    if not request.headers.get(b"origin") and request.headers.get(b"sec-fetch-site") != "same-origin":
        # Someone else's page must not log its reader in under another name.
        return _page(server, 403, "Log in on this page.", back)
    try:
        user = await server.door.password(name, password, request.source)
    except Throttled as problem:
        reply = _page(server, 429, "Too many attempts failed.", back)
        return reply._replace(headers=(*reply.headers, header("retry-after", int(problem.after_s) + 1)))
    if user is None:
        return _page(server, 401, "No such user, or another password.", back)
    return await _in(server, request, user.name, {}, how="password", back=back)


async def leave(server: Server, request: Request) -> Reply:
    if server.login is None:
        raise WireError("NOT_FOUND", "no identity provider is set up", 404)
    address, seed = await server.login.begin(_callback(server, request))
    back = quote(_local(request.field("next", "/")), safe="")
    # The provider sends the browser back with a GET from its own site: `Lax` lets the cookie come along.
    cookie = _cookie(server, SEED, f"{seed}.{back}", SEED_S)
    return Reply(303, b"", "text/html", (header("location", address), cookie, *_PAGE_HEADERS))


async def come_back(server: Server, request: Request) -> Reply:
    if server.login is None:
        raise WireError("NOT_FOUND", "no identity provider is set up", 404)
    seed, _, back = sent_cookie(server, request, SEED).partition(".")
    answer = {name: values[-1] for name, values in request.fields().items()}
    person = await server.login.end(seed, answer, _callback(server, request))
    name = await server.write(partial(_known, person=person), NOBODY)
    reply = await _in(server, request, name, person.roles, how="provider", back=_local(unquote(back)))
    return reply._replace(headers=(*reply.headers, _cookie(server, SEED, "", 0)))


async def out(server: Server, request: Request) -> Reply:
    value = sent_cookie(server, request, COOKIE)
    if value:
        await server.write_access(lambda store: sessions.end(store, value), request.identity)
    return Reply(303, b"", "text/html", (header("location", LOGIN), _cookie(server, COOKIE, "", 0)))


async def _in(server: Server, request: Request, name: str, roles: dict[str, Role], *, how: str, back: str) -> Reply:
    identity = msgspec.structs.replace(NOBODY, name=name, source=request.source if server.settings.login else "")
    value = await server.write(lambda store: sessions.begin(store, name, roles, how=how), identity)
    cookie = _cookie(server, COOKIE, value, int(sessions.SESSION_S_MAX))
    return Reply(303, b"", "text/html", (header("location", back), cookie))


def _known(store: Store, person: Person) -> str:
    """The name of who came back; somebody new becomes a user, so that an admin can give roles or keep them out.

    Raises:
        Fault: refused when an admin did, or when the name is somebody else's.
    """
    with store.read() as reader:
        user = users.find_subject(reader, person.subject)
        other = users.find(reader, person.name)
    if user is None:
        if other is not None:
            raise refused("another user has this name", where=person.name, fix="ask an admin to rename or remove them")
        user = users.add(store, person.name, {}, subject=person.subject)
    if not user.active:
        raise refused("this user may not come in", where=user.name)
    return user.name


def _page(server: Server, status: int, said: str, back: str) -> Reply:
    said = f'<p class="w">{html.escape(said)}</p>' if said else ""
    provider = ""
    if server.login is not None:
        provider = (
            f'<p><a class="b" href="/login/provider?next={quote(back, safe="/")}">Log in with your account</a></p>'
        )
    text = _PAGE.format(said=said, provider=provider, next=html.escape(back, quote=True))
    return Reply(status, text.encode(), "text/html; charset=utf-8", _PAGE_HEADERS)


def _cookie(server: Server, name: str, value: str, age_s: int) -> tuple[bytes, bytes]:
    """A cookie that scripts cannot read; by TLS, one that no other host can have set either."""
    secure = server.settings.secure
    prefix = "__Host-" if secure else ""
    ending = "; Secure" if secure else ""
    return header("set-cookie", f"{prefix}{name}={value}; Path=/; Max-Age={age_s}; HttpOnly; SameSite=Lax{ending}")


def _callback(server: Server, request: Request) -> str:
    """Where the provider sends people: the address that the operator named, or the one they came to."""
    if server.settings.url:
        return server.settings.url.rstrip("/") + CALLBACK
    return f"{'https' if server.settings.secure else 'http'}://{request.headers.get(b'host')}{CALLBACK}"


def _local(path: str) -> str:
    """A path of this server; anything else would lead people astray after they logged in."""
    parts = urlsplit(path)
    plain = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable() and "\\" not in path
    return path if plain and not parts.scheme and not parts.netloc else "/"


ROUTES = (
    Route("GET", LOGIN, page, needs="public"),
    Route("POST", LOGIN, by_password, needs="public", body_bytes_max=FORM_BYTES_MAX),
    Route("GET", "/login/provider", leave, needs="public"),
    Route("GET", CALLBACK, come_back, needs="public"),
    Route("POST", "/logout", out, needs="public"),
)
