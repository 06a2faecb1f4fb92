"""Structural models: one page of Antimony or SBML text in, symbolic rates and initial states out."""

from __future__ import annotations

from causalgia.models.model import Model, load_model, read_source

__all__ = ["Model", "load_model", "read_source"]
