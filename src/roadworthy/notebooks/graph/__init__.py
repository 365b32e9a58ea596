"""The dataflow of a notebook as a picture: `cells.py` says what, `layout.py` where, `svg.py` and `lines.py` how."""
