"""Roadworthy: from notebook to monitored production, with a certificate for every model.

`import roadworthy as rw` gives the data scientist's names; each loads what it needs when it is first used, so that
importing this module costs next to nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

from roadworthy.nouns.version import __version__

# name -> module that has it
_PUBLIC = {
    "step": "roadworthy.pipelines.steps",
    "log_metric": "roadworthy.registry.tracking",
    "log_metrics": "roadworthy.registry.tracking",
    "log_param": "roadworthy.registry.tracking",
    "log_params": "roadworthy.registry.tracking",
    "log_artifact": "roadworthy.registry.tracking",
    "log_figure": "roadworthy.registry.tracking",
    "start_run": "roadworthy.registry.tracking",
    "release": "roadworthy.notebooks.jupyter.release",
    # What IPython asks for when it is told %load_ext roadworthy.
    "load_ipython_extension": "roadworthy.notebooks.jupyter.extension",
    "unload_ipython_extension": "roadworthy.notebooks.jupyter.extension",
    "set_tag": "roadworthy.registry.tracking",
}

__all__ = [
    "__version__",
    "log_artifact",
    "log_figure",
    "log_metric",
    "log_metrics",
    "log_param",
    "log_params",
    "release",
    "set_tag",
    "start_run",
    "step",
]

if TYPE_CHECKING:
    from roadworthy.notebooks.jupyter.release import release
    from roadworthy.pipelines.steps import step
    from roadworthy.registry.tracking import (
        log_artifact,
        log_figure,
        log_metric,
        log_metrics,
        log_param,
        log_params,
        set_tag,
        start_run,
    )


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        message = f"module 'roadworthy' has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return __all__
