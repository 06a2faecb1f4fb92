"""Causalgia plans, simulates and analyses trials of immunotherapy in complex regional pain syndrome."""

__version__ = "0.1.0"
