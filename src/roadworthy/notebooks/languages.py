"""The language of a code cell, by its first line or by its metadata. Called by `read.py` and `scripts.py`."""

import re
from typing import Any

# `%%bash`, `%sql`: the language of a cell by its first line.
LANGUAGE_MAGICS = {
    "bash": "bash", "sh": "bash", "script": "bash", "cmd": "bash", "system": "bash", "sx": "bash", "!": "bash",
    "sql": "sql", "bigquery": "sql", "sparksql": "sql", "spark_sql": "sql",
    "r": "r", "R": "r", "julia": "julia", "scala": "scala", "perl": "perl", "ruby": "ruby", "octave": "octave",
    "javascript": "javascript", "js": "javascript", "html": "html", "HTML": "html", "svg": "svg", "SVG": "svg",
    "latex": "latex", "markdown": "markdown", "md": "markdown", "cython": "cython", "css": "css", "dot": "dot",
    "writefile": "file", "file": "file", "fs": "databricks-fs", "python2": "python2", "pypy": "python2",
    "matlab": "matlab", "fortran": "fortran", "cpp": "c++", "mermaid": "mermaid", "manim": "python",
}  # fmt: skip
_CELL_MAGIC = re.compile(r"\s*%%(!|\w+)")
_DATABRICKS_MAGIC = re.compile(r"\s*%(md|markdown|sql|scala|r|sh|fs|python)\b")


def cell_language(source: str, metadata: dict[str, Any], language: str, *, databricks: bool = False) -> str:
    """The language of a code cell."""
    if metadata:
        vscode = metadata.get("vscode")
        if isinstance(vscode, dict) and isinstance(vscode.get("languageId"), str) and vscode["languageId"]:
            named: str = vscode["languageId"].lower()
            return {"shellscript": "bash"}.get(named, named)
    if "%" in source:
        found = _CELL_MAGIC.match(source) or (_DATABRICKS_MAGIC.match(source) if databricks else None)
        if found:
            return LANGUAGE_MAGICS.get(found[1], language)
    return language
