"""Whether a pipeline does what its notebook does: both are run, and what they make is compared."""
