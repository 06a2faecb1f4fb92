"""Measurement: what a clinic reads of a virtual patient, with error and limits."""
