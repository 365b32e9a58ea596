"""Step: a typed function of the pipeline, as declared; what one execution of it did is a `StepRun`."""

from typing import Any, Literal

import msgspec


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A declared step.

    Args:
        name: the function's name, which is also the name of what it returns.
        inputs: argument names in order: each another step, a data set, or a parameter.
        defaults: arguments that have a default value, with it.
        retries: how often to try again after a failure, 0 to 10.
        timeout_s: limit for one attempt in seconds; None for none.
        cache: False for steps that must run every time.
        format: how the output is stored; None chooses by type.
        trusted: type names that a model output may contain beyond those trusted by default.
        module: where the function is defined.
        line: first line of the function in its file.
    """

    name: str
    inputs: tuple[str, ...]
    defaults: dict[str, Any] = msgspec.field(default_factory=dict)
    retries: int = 0
    timeout_s: float | None = None
    cache: bool = True
    format: str | None = None
    trusted: tuple[str, ...] = ()
    module: str = ""
    line: int = 0


class Value(msgspec.Struct, frozen=True, kw_only=True):
    """A stored value: which format wrote it and which blob holds it.

    Args:
        format: name of the format, such as `parquet`, `json`, `numpy`, `skops`, `onnx`, `pickle`.
        digest: BLAKE3 of the bytes, 64 hex digits.
        size: bytes.
        type: what the Python object was, such as `pandas.DataFrame`, so that it comes back as such.
        content: digest of what the value says where that differs from its bytes (two Parquet files written by
            two versions of the writer hold the same table); equal content means equal for caching and proofs.
        meta: what the format needs to read it back (trusted types, for instance).
    """

    format: str
    digest: str
    size: int
    type: str = ""
    content: str = ""
    meta: dict[str, Any] = msgspec.field(default_factory=dict)


StepStatus = Literal["ran", "reused", "failed", "skipped"]


class StepRun(msgspec.Struct, frozen=True, kw_only=True):
    """What one run did about one step.

    Args:
        step: the step's name.
        status: `ran`, `reused` (from an earlier run), `failed`, or `skipped` (an input failed).
        key: cache key: equal keys mean equal code, inputs, parameters and libraries.
        why: one sentence: why it ran or was reused.
        wall_s, cpu_s: seconds of the successful (or last) attempt.
        memory_peak_mb: highest resident memory of its process, MiB.
        output: the stored result.
        log: digest of what the step printed.
        error: the failure, traceback of the user's code included.
        reused_from: the run that made the output.
    """

    step: str
    status: StepStatus
    key: str = ""
    why: str = ""
    started_at: float = 0.0
    wall_s: float = 0.0
    cpu_s: float = 0.0
    memory_peak_mb: float = 0.0
    attempts: int = 0
    output: Value | None = None
    log: str | None = None
    error: str | None = None
    reused_from: str | None = None
