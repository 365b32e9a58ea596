"""Run every benchmark (or those named) and write RESULTS.md: `make bench`, or `python -m benchmarks startup steps`."""

import datetime as dt
import importlib
import os
import pkgutil
import platform
import sys
import tempfile
from pathlib import Path

import benchmarks
from benchmarks.frame import ROOT, Peers

NOT_BENCHMARKS = {"__main__", "frame"}
RESULTS = ROOT / "benchmarks" / "RESULTS.md"
MARK = "<!-- {name} -->"


def main(names: list[str]) -> None:
    found = sorted(m.name for m in pkgutil.iter_modules(benchmarks.__path__) if m.name not in NOT_BENCHMARKS)
    unknown = set(names) - set(found)
    if unknown:
        sys.exit(f"no such benchmark: {', '.join(sorted(unknown))}; there are {', '.join(found)}")
    sections = read_sections()
    for name in names or found:
        module = importlib.import_module(f"benchmarks.{name}")
        print(f"== {module.TITLE}", file=sys.stderr)
        peers = Peers()
        with tempfile.TemporaryDirectory(prefix="rwbench") as work:
            rows = module.measure(Path(work), peers)
        sections[name] = section(name, module, rows, {peer: peers.version(peer) for peer in module.PEERS})
        print(sections[name])
        write_sections(sections)  # each as it comes: a later one that fails loses nothing


def section(name: str, module: object, rows: list[dict], versions: dict[str, str]) -> str:
    columns = list(dict.fromkeys(column for row in rows for column in row))
    lines = [MARK.format(name=name), f"## {module.TITLE}", ""]
    lines += [(module.__doc__ or "").strip(), ""]
    lines += ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(cell(row.get(column)) for column in columns) + " |" for row in rows]
    peers = ", ".join(f"{peer.partition('=')[0]} {version}" for peer, version in versions.items()) or "none"
    today = dt.date.today().isoformat()
    lines += ["", f"Peers: {peers}. {today}, {machine()}. Again: `make bench` or `python -m benchmarks {name}`.", ""]
    return "\n".join(lines)


def cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def machine() -> str:
    return f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"


def read_sections() -> dict[str, str]:
    if not RESULTS.exists():
        return {}
    parts = RESULTS.read_text("utf-8").split("<!-- ")[1:]
    return {part.partition(" -->")[0]: "<!-- " + part for part in parts}


def write_sections(sections: dict[str, str]) -> None:
    head = "# Results\n\nRatios measured side by side, in one run on one machine; times in seconds.\n\n"
    RESULTS.write_text(head + "\n".join(sections[name].rstrip("\n") + "\n" for name in sorted(sections)), "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
