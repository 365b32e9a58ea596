"""What webhooks are told of changes to models and prompts: MLflow's events and payloads.

In: the change, from the handlers, inside its transaction. Out: the outbox of webhooks. A prompt is a model with a tag,
and has events of its own.
"""

from roadworthy.faces.server.mlflow.webhooks import outbox
from roadworthy.registry.model_names import Named
from roadworthy.registry.model_search import PROMPT_TAG
from roadworthy.registry.model_versions import Version
from roadworthy.store.store import Store

PROMPT_TYPE_TAG = "_mlflow_prompt_type"
PROMPT_TEXT_TAG = "mlflow.prompt.text"
_INTERNAL = (PROMPT_TAG, PROMPT_TYPE_TAG)


def model_created(store: Store, named: Named) -> None:
    prompt = _prompt(named)
    tags = {key: value for key, value in named.tags.items() if not (prompt and key in _INTERNAL)}
    data = {"name": named.name, "tags": tags, "description": named.description or ""}
    outbox.put(store, "prompt" if prompt else "registered_model", "created", data)


def version_created(store: Store, named: Named, made: Version) -> None:
    data: dict[str, object] = {"name": made.name, "version": str(made.version)}
    said = {"description": made.description or None}
    if _prompt(named):
        tags = {key: value for key, value in made.tags.items() if key not in (*_INTERNAL, PROMPT_TEXT_TAG)}
        data |= {"template": made.tags.get(PROMPT_TEXT_TAG), "tags": tags, **said}
        outbox.put(store, "prompt_version", "created", data)
        return
    data |= {"source": made.source, "run_id": made.run or None, "tags": made.tags, **said}
    outbox.put(store, "model_version", "created", data)


def model_tagged(store: Store, named: Named, key: str, value: str) -> None:
    # MLflow has no event for the tags of models, only for those of prompts.
    if _prompt(named):
        outbox.put(store, "prompt_tag", "set", {"name": named.name, "key": key, "value": value})


def model_untagged(store: Store, named: Named, key: str) -> None:
    if _prompt(named):
        outbox.put(store, "prompt_tag", "deleted", {"name": named.name, "key": key})


def version_tagged(store: Store, named: Named, held: Version, key: str, value: str) -> None:
    data = {"name": held.name, "version": str(held.version), "key": key, "value": value}
    outbox.put(store, "prompt_version_tag" if _prompt(named) else "model_version_tag", "set", data)


def version_untagged(store: Store, named: Named, held: Version, key: str) -> None:
    data = {"name": held.name, "version": str(held.version), "key": key}
    outbox.put(store, "prompt_version_tag" if _prompt(named) else "model_version_tag", "deleted", data)


def alias_set(store: Store, named: Named, alias: str, version: int) -> None:
    data = {"name": named.name, "alias": alias, "version": str(version)}
    outbox.put(store, "prompt_alias" if _prompt(named) else "model_version_alias", "created", data)


def alias_unset(store: Store, named: Named, alias: str) -> None:
    data = {"name": named.name, "alias": alias}
    outbox.put(store, "prompt_alias" if _prompt(named) else "model_version_alias", "deleted", data)


def _prompt(named: Named) -> bool:
    return named.tags.get(PROMPT_TAG, "false").lower() == "true"
