"""Messages of MLflow's webhooks."""

from msgspec import UNSET, UnsetType

from roadworthy.faces.server.mlflow.wire import Message

Text = str | UnsetType
# Names as protobuf writes them, or their numbers.
ENTITIES = (
    "",
    "REGISTERED_MODEL",
    "MODEL_VERSION",
    "MODEL_VERSION_TAG",
    "MODEL_VERSION_ALIAS",
    "PROMPT",
    "PROMPT_VERSION",
    "PROMPT_TAG",
    "PROMPT_VERSION_TAG",
    "PROMPT_ALIAS",
    "BUDGET_POLICY",
)
ACTIONS = ("", "CREATED", "UPDATED", "DELETED", "SET", "EXCEEDED")
STATUSES = ("", "ACTIVE", "DISABLED")


class Event(Message):
    entity: str | int = 0
    action: str | int = 0


class Webhook(Message):
    webhook_id: str
    name: str
    url: str
    events: list[Event]
    status: str
    creation_timestamp: int
    last_updated_timestamp: int
    description: Text = UNSET


class WebhookAnswer(Message):
    webhook: Webhook


class WebhooksAnswer(Message):
    webhooks: list[Webhook] | UnsetType = UNSET
    next_page_token: Text = UNSET


class Tested(Message):
    success: bool
    response_status: int | UnsetType = UNSET
    response_body: Text = UNSET
    error_message: Text = UNSET


class TestedAnswer(Message):
    result: Tested


class Create(Message):
    name: str = ""
    url: str = ""
    events: tuple[Event, ...] = ()
    description: str = ""
    secret: str = ""
    status: str | int = 0


class Update(Message):
    name: str = ""
    url: str = ""
    events: tuple[Event, ...] = ()
    description: Text = UNSET
    secret: Text = UNSET
    status: str | int = 0


class Page(Message):
    max_results: int = 100
    page_token: str = ""


class Test(Message):
    event: Event | UnsetType = UNSET
