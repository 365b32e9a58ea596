"""Tags set and taken away, one at a time: what registered models and model versions have in common.

In: the message of a tag, and what is done with it in the transaction. Out: the two handlers. Called where their routes
are declared.
"""

from collections.abc import Callable
from typing import Protocol, TypeVar

from roadworthy.faces.server.http import Handler, Reply, Request
from roadworthy.faces.server.identity.who import Identity
from roadworthy.faces.server.mlflow import model_rules
from roadworthy.faces.server.mlflow.wire import answer, read, required
from roadworthy.faces.server.server import Server
from roadworthy.store.store import Store


class Tag(Protocol):
    """A message that names a tag."""

    key: str
    value: str


T = TypeVar("T", bound=Tag)
Work = Callable[[Store, T, Identity], None]


def handlers(kind: type[T], owner: tuple[str, ...], *, put: Work[T], take: Work[T]) -> tuple[Handler, Handler]:
    """How a tag is set, and how it is taken away.

    Args:
        owner: the message's fields that name whose tag it is.
        put, take: what is done in the transaction.
    """

    def asked(request: Request) -> T:
        message = read(request, kind)
        for field in (*owner, "key"):
            required(getattr(message, field), field)
        return message

    async def set_tag(server: Server, request: Request) -> Reply:
        message = asked(request)
        model_rules.tag(message.key, message.value)
        await server.write(lambda store: put(store, message, request.identity), request.identity)
        return answer()

    async def delete_tag(server: Server, request: Request) -> Reply:
        message = asked(request)
        model_rules.tag_key(message.key)
        await server.write(lambda store: take(store, message, request.identity), request.identity)
        return answer()

    return set_tag, delete_tag
