"""Calibration: typical values given published summaries, and a test on trials that were not fitted."""
