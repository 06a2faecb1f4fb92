"""Report: the results as numbers, a verdict in words, figures, and one self-contained page."""
