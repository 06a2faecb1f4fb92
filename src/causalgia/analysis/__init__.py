"""Estimands to estimates, from tables and arrays alone, real or simulated; import the module that you need."""
