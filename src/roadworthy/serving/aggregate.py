"""Aggregate: the metrics of model servers with labels that tell them apart, as the router shows them.

In: each server's text in Prometheus' format. Out: one text. Called by serving/router.py.
"""

from collections.abc import Mapping, Sequence

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample


def aggregated(parts: Sequence[tuple[Mapping[str, str], str]]) -> bytes:
    """One text of many, each sample with its server's labels.

    Args:
        parts: labels and text of each server; a text that cannot be read is left out.
    """
    families: dict[str, tuple[str, str, list[str]]] = {}
    for labels, text in parts:
        try:
            found = list(text_string_to_metric_families(text))
        except ValueError:
            continue
        for family in found:
            # One that the router has too would be there twice.
            name = family.name.replace("roadworthy_", "roadworthy_server_", 1)
            kind = "gauge" if family.name.endswith("_created") else family.type
            _, _, lines = families.setdefault(name, (family.documentation, kind, []))
            lines.extend(_line(sample, labels) for sample in family.samples)
    shown = []
    for name, (text, kind, lines) in families.items():
        full = f"{name}_total" if kind == "counter" else name
        shown += [f"# HELP {full} {_escaped(text)}", f"# TYPE {full} {kind}", *lines]
    return "".join(f"{line}\n" for line in shown).encode()


def _line(sample: Sample, labels: Mapping[str, str]) -> str:
    name = sample.name.replace("roadworthy_", "roadworthy_server_", 1)
    named = ",".join(f'{key}="{_escaped(value, quote=True)}"' for key, value in {**sample.labels, **labels}.items())
    return f"{name}{{{named}}} {sample.value!r}"


def _escaped(text: str, *, quote: bool = False) -> str:
    text = text.replace("\\", "\\\\").replace("\n", "\\n")
    return text.replace('"', '\\"') if quote else text
