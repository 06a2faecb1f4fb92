"""Learning from evidence and from patients."""
