"""From a notebook to a pipeline: `program.py` reads it, `slicing.py` and `grouping.py` decide, `module.py` writes."""
