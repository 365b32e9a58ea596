"""The proof as one HTML page that needs nothing else.

In: a proof. Out: bytes. Called by `conversion.py`, which puts it beside the project.
"""

from html import escape

from roadworthy.notebooks.prove.proof import Compared, Proof, headline

_STYLE = """
:root{--ink:#1b2733;--dim:#5c6b78;--line:#d9e0e6;--good:#1a7f4b;--bad:#b3261e;--warn:#8a6100;--paper:#fff;
--wash:#f5f7f9}
@media (prefers-color-scheme:dark){:root{--ink:#e6edf3;--dim:#9aa8b5;--line:#33404c;--good:#5fce93;--bad:#ff8a80;
--warn:#e8b84a;--paper:#12181f;--wash:#1a222b}}
*{box-sizing:border-box}body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
main{max-width:60rem;margin:0 auto;padding:2.5rem 1.25rem 4rem}h1{font-size:1.5rem;margin:0 0 .25rem}
h2{font-size:1.05rem;margin:2rem 0 .5rem}p{margin:.3rem 0}.dim{color:var(--dim)}
.verdict{border-left:5px solid;padding:.75rem 1rem;background:var(--wash);margin:1.25rem 0;font-weight:600}
.good{border-color:var(--good);color:var(--good)}.bad{border-color:var(--bad);color:var(--bad)}
table{border-collapse:collapse;width:100%;font-size:.9rem}th{text-align:left;color:var(--dim);font-weight:600}
th,td{padding:.35rem .6rem .35rem 0;border-bottom:1px solid var(--line);vertical-align:top}
code{font:.88em ui-monospace,monospace}td.different{color:var(--bad);font-weight:600}td.identical{color:var(--good)}
td.within{color:var(--warn)}.scroll{overflow-x:auto}
"""
_HOW = """<p class="dim">The notebook was run from top to bottom in a kernel of its own, the pipeline in processes of
its own; then every value that goes from one step to another, and every metric, was compared.</p>"""
_EQUAL = """Numbers are equal bit by bit, or differ by at most {tolerance:g} times the greater of 1 and their size;
tables also in labels, order and types; models in parameters, in what they learned, and in their answers."""


def render(proof: Proof) -> bytes:
    """The page."""
    parts = [
        f"<h1>Does the pipeline do what <code>{escape(proof.notebook)}</code> does?</h1>",
        _HOW if proof.original_s else "",
        f'<div class="verdict {"good" if proof.holds else "bad"}">{escape(headline(proof))}</div>',
    ]
    if proof.first is not None:
        first = proof.first
        parts += [
            "<h2>The first difference</h2>",
            _first(first),
        ]
    if proof.cause or proof.evidence:
        parts.append(f"<p>Cause: <b>{escape(proof.cause or 'not found')}</b></p>")
        parts.append("<ul>" + "".join(f"<li>{_code(line)}</li>" for line in proof.evidence) + "</ul>")
    if proof.compared:
        parts += ["<h2>Compared</h2>", _compared(proof)]
    if proof.not_compared:
        rows = "".join(f"<tr><td>{_code(n.what)}</td><td>{_code(n.why)}</td></tr>" for n in proof.not_compared)
        parts += [
            "<h2>Not compared</h2>",
            f'<div class="scroll"><table><tr><th>What</th><th>Why</th></tr>{rows}</table></div>',
        ]
    parts += ["<h2>How</h2>", _how(proof)]
    body = "\n".join(part for part in parts if part)
    title = escape(f"Proof: {proof.notebook}")
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>'
        f"<body><main>\n{body}\n</main></body></html>\n"
    ).encode()


def _first(first: Compared) -> str:
    what = f"<code>{escape(first.what)}</code> ({_code(first.notebook)}){escape(first.where)}"
    return f"<p>{what}: {escape(first.found)}</p>"


def _compared(proof: Proof) -> str:
    rows = []
    for each in proof.compared:
        kind = each.verdict.partition(" ")[0]
        rows.append(
            f"<tr><td><code>{escape(each.what)}</code></td><td>{_code(each.notebook)}</td>"
            f"<td>{escape(' '.join(filter(None, [each.type, each.size])))}</td>"
            f'<td class="{kind}">{escape(each.verdict)}</td><td>{escape(each.found)}</td></tr>'
        )
    head = "<tr><th>In the pipeline</th><th>In the notebook</th><th>What it is</th><th>Outcome</th><th></th></tr>"
    return f'<div class="scroll"><table>{head}{"".join(rows)}</table></div>'


def _how(proof: Proof) -> str:
    packages = ", ".join(f"{name} {version}" for name, version in sorted(proof.packages.items()))
    lines = [
        _EQUAL.format(tolerance=proof.tolerance),
        f"Python {escape(proof.python)}{'; ' + escape(packages) if packages else ''}." if proof.python else "",
        f"The notebook took {proof.original_s:.1f} s, the pipeline {proof.pipeline_s:.1f} s."
        if proof.original_s
        else "",
        f"Made at {escape(proof.at)}." if proof.at else "",
    ]
    return "".join(f'<p class="dim">{line}</p>' for line in lines if line)


def _code(text: str) -> str:
    """Text in which words between backticks are code."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if number % 2 else part for number, part in enumerate(parts))
