"""An identity provider of our own: Authlib's OpenID Connect server, over real HTTP on the loopback address."""

import os
import threading
import time
from types import TracebackType
from typing import Any, Self

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import ClientMixin, grants
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oidc.core import UserInfo
from authlib.oidc.core.grants import OpenIDCode
from flask import Flask, jsonify
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey
from werkzeug.serving import make_server

CLIENT = "roadworthy"
SECRET = "s3cret/with+odd:signs"


class _Client(ClientMixin):
    def __init__(self, callback: str) -> None:
        self.callback = callback

    def get_client_id(self) -> str:
        return CLIENT

    def get_default_redirect_uri(self) -> str:
        return self.callback

    def get_allowed_scope(self, scope: str) -> str:
        return scope

    def check_redirect_uri(self, uri: str) -> bool:
        return uri == self.callback

    def check_client_secret(self, secret: str) -> bool:
        return secret == SECRET

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method == "client_secret_basic"

    def check_response_type(self, kind: str) -> bool:
        return kind == "code"

    def check_grant_type(self, kind: str) -> bool:
        return kind == "authorization_code"


class _Code:
    def __init__(self, payload: Any, user: str) -> None:
        self.client_id, self.redirect_uri, self.scope = CLIENT, payload.redirect_uri, payload.scope
        data = payload.data
        self.nonce, self.challenge, self.method = (
            data.get("nonce"),
            data.get("code_challenge"),
            data.get("code_challenge_method"),
        )
        self.code_challenge, self.code_challenge_method = self.challenge, self.method
        self.user = user
        self.auth_time = int(time.time())

    def get_redirect_uri(self) -> str:
        return self.redirect_uri

    def get_scope(self) -> str:
        return self.scope

    def get_nonce(self) -> str:
        return self.nonce

    def get_auth_time(self) -> int:
        return self.auth_time

    def get_acr(self) -> None:
        return None

    def get_amr(self) -> None:
        return None


class Provider:
    """A context: the provider runs while it lasts. Whoever comes to `/authorize` is logged in as `who`.

    Args:
        callback: where it sends people back to; no other address will do.
    """

    def __init__(self, callback: str = "http://127.0.0.1/login/callback") -> None:
        self.who: dict[str, Any] = {"sub": "42", "email": "ada@example.com", "email_verified": True, "groups": ["ml"]}
        self.change: dict[str, Any] = {}  # put into id tokens in place of what belongs there
        self.key = RSAKey.generate_key(2048, {"kid": "first", "alg": "RS256", "use": "sig"})
        self.key_asked = 0
        self._callback = callback
        self._codes: dict[str, _Code] = {}
        app = self._app()
        self._server = make_server("127.0.0.1", 0, app, threaded=True)
        self.url = f"http://127.0.0.1:{self._server.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def token(self, **claims: Any) -> str:
        """A token signed by this provider, as a platform gives to its jobs."""
        now = int(time.time())
        said = {
            "iss": self.url,
            "sub": "repo:town/flights",
            "aud": "roadworthy",
            "exp": now + 300,
            "iat": now,
            **claims,
        }
        return jwt.encode({"alg": "RS256", "kid": self.key.kid}, said, self.key)

    def _app(self) -> Flask:
        os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"
        app = Flask(__name__)
        client = _Client(self._callback)
        server = AuthorizationServer(app, query_client=lambda _: client, save_token=lambda token, request: None)
        provider = self

        class Grant(grants.AuthorizationCodeGrant):
            TOKEN_ENDPOINT_AUTH_METHODS = ["client_secret_basic"]

            def save_authorization_code(self, code: str, request: Any) -> None:
                provider._codes[code] = _Code(request.payload, request.user)

            def query_authorization_code(self, code: str, client: Any) -> _Code | None:
                return provider._codes.get(code)

            def delete_authorization_code(self, code: Any) -> None:
                provider._codes = {key: kept for key, kept in provider._codes.items() if kept is not code}

            def authenticate_user(self, code: _Code) -> str:
                return code.user

        class Identity(OpenIDCode):
            def exists_nonce(self, nonce: str, request: Any) -> bool:
                return False

            def resolve_client_private_key(self, client: Any) -> RSAKey:
                return provider.key

            def get_client_algorithm(self, client: Any) -> str:
                return "RS256"

            def get_encode_header(self, client: Any) -> dict[str, str]:
                return {"alg": "RS256", "kid": provider.key.kid}

            def get_client_claims(self, client: Any) -> dict[str, Any]:
                return {"iss": provider.url}

            def generate_user_info(self, user: str, scope: str) -> UserInfo:
                return UserInfo({**provider.who, **provider.change})

        server.register_grant(Grant, [Identity(require_nonce=True), CodeChallenge(required=True)])

        @app.get("/.well-known/openid-configuration")
        def discovery() -> Any:
            return jsonify(
                issuer=provider.url,
                authorization_endpoint=f"{provider.url}/authorize",
                token_endpoint=f"{provider.url}/token",
                jwks_uri=f"{provider.url}/keys",
            )

        @app.get("/keys")
        def keys() -> Any:
            provider.key_asked += 1
            return jsonify(KeySet([provider.key]).as_dict(private=False))

        @app.get("/authorize")
        def authorize() -> Any:
            grant = server.get_consent_grant(end_user=provider.who["sub"])
            return server.create_authorization_response(grant_user=provider.who["sub"], grant=grant)

        @app.post("/token")
        def token() -> Any:
            return server.create_token_response()

        del discovery, keys, authorize, token
        return app

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
