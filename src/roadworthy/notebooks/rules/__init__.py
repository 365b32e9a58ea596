"""What to look for in notebooks: one module for each tight family of rules, listed in `catalogue.py`."""
