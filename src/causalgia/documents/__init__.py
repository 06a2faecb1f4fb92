"""Documents: what a person writes, read and checked once, at the door."""

from causalgia.documents.errors import InputError
from causalgia.documents.protocol import Protocol
from causalgia.documents.schemas import Condition, Drug, Instrument, Parameters

__all__ = ["Condition", "Drug", "InputError", "Instrument", "Parameters", "Protocol"]
