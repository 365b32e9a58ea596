"""Which Roadworthy this is: here, on the ground floor, so that every room may say it without loading the rest."""

__version__ = "0.1.0"
