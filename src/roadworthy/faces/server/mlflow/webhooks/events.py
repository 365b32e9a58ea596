"""The events that webhooks may listen for, and an example of what each is told with."""

from typing import Any

_MODEL, _PROMPT = "example_model", "example_prompt"
_TAGS = {"example_key": "example_value"}
_TAG = {"key": "example_key", "value": "example_value"}
_ALIAS = {"alias": "example_alias"}

EXAMPLES: dict[tuple[str, str], dict[str, Any]] = {
    ("registered_model", "created"): {
        "name": _MODEL,
        "tags": _TAGS,
        "description": "An example registered model",
    },
    ("model_version", "created"): {
        "name": _MODEL,
        "version": "1",
        "source": "models:/123",
        "run_id": "abcd1234abcd5678",
        "tags": _TAGS,
        "description": "An example model version",
    },
    ("model_version_tag", "set"): {"name": _MODEL, "version": "1", **_TAG},
    ("model_version_tag", "deleted"): {"name": _MODEL, "version": "1", "key": "example_key"},
    ("model_version_alias", "created"): {"name": _MODEL, **_ALIAS, "version": "1"},
    ("model_version_alias", "deleted"): {"name": _MODEL, **_ALIAS},
    ("prompt", "created"): {"name": _PROMPT, "tags": _TAGS, "description": "An example prompt"},
    ("prompt_version", "created"): {
        "name": _PROMPT,
        "version": "1",
        "template": "Hello {{name}}!",
        "tags": _TAGS,
        "description": "An example prompt version",
    },
    ("prompt_tag", "set"): {"name": _PROMPT, **_TAG},
    ("prompt_tag", "deleted"): {"name": _PROMPT, "key": "example_key"},
    ("prompt_version_tag", "set"): {"name": _PROMPT, "version": "1", **_TAG},
    ("prompt_version_tag", "deleted"): {"name": _PROMPT, "version": "1", "key": "example_key"},
    ("prompt_alias", "created"): {"name": _PROMPT, **_ALIAS, "version": "1"},
    ("prompt_alias", "deleted"): {"name": _PROMPT, **_ALIAS},
    # Known so that clients may ask for it; there is no gateway here whose budget could be exceeded.
    ("budget_policy", "exceeded"): {
        "budget_policy_id": "bp-abc123",
        "budget_unit": "USD",
        "budget_amount": 100.0,
        "current_spend": 105.50,
        "duration_unit": "MONTHS",
        "duration_value": 1,
        "target_scope": "ENDPOINT",
        "workspace": "default",
        "target_value": "ep-abc123",
        "window_start": 1704067200000,
    },
}
ENTITIES = sorted({entity for entity, _ in EXAMPLES})
ACTIONS = ("created", "updated", "deleted", "set", "exceeded")


def actions(entity: str) -> list[str]:
    """What can happen to an entity."""
    return sorted(action for known, action in EXAMPLES if known == entity)
