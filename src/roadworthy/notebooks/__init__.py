"""Notebooks: read, check, follow the data from cell to cell, run, convert and prove."""
