"""The versions of a registered model on somebody's server, whatever the model is called.

In: a server and a name. Out: the versions as it answers them. Called by rest.py and exporter.py.
"""

from collections.abc import Iterator
from typing import Any

from roadworthy.registry.remote import Remote

PAGE = 500


def of_model(remote: Remote, name: str) -> Iterator[dict[str, Any]]:
    """Every version of the model of that name."""
    asked = {"filter": condition(name), "max_results": PAGE}
    for found in remote.pages("model-versions/search", asked, "model_versions", get=True):
        if found["name"] == name:
            yield found


def condition(name: str) -> str:
    """The filter that a model of that name fits, and hardly another: MLflow's grammar has no way to escape a quote.

    >>> print(condition("o'brien"), condition("b'o" + '"th'))
    name = "o'brien" name LIKE 'b_o_th'
    """
    if "'" not in name:
        return f"name = '{name}'"
    if '"' not in name:
        return f'name = "{name}"'
    return "name LIKE '" + name.replace("'", "_").replace('"', "_") + "'"
