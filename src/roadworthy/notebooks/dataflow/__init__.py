"""How values go from cell to cell: `python.py` makes Python of a cell, `walk.py` reads it, `flow.py` joins them."""
