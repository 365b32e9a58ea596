"""Read one cell's syntax tree once. In: a cell as Python. Out: a `CellFlow`. Called by `flow.py`."""

import ast

from roadworthy.notebooks.dataflow import definitions, expressions, statements
from roadworthy.notebooks.dataflow.cell_flow import CellError, CellFlow
from roadworthy.notebooks.dataflow.names import Names
from roadworthy.notebooks.dataflow.python import Translated

READERS = (definitions, expressions, statements)  # imported so that they enter the table of handlers


def walk(index: int, translated: Translated) -> CellFlow:
    """What a cell does to names; a cell that is no Python comes back with its error."""
    python = translated.python
    try:
        tree = ast.parse(python)
        names = Names()
        names.statements(tree.body)
    except SyntaxError as problem:
        error = CellError(problem.msg, problem.lineno or 1, problem.offset or 1)
        return CellFlow(index=index, python=python, magics=translated.magics, error=error)
    except (ValueError, RecursionError, MemoryError) as problem:
        told = str(problem) if isinstance(problem, ValueError) else "it is nested too deeply"
        return CellFlow(index=index, python=python, magics=translated.magics, error=CellError(told, 1, 1))
    return names.made(index, tree, translated)
