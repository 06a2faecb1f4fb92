"""The one error that bad input raises: where, what was found, what was expected, what to do."""

from __future__ import annotations


class InputError(ValueError):
    """Bad input, told in four parts.

    `where` names file, key, or row and column; `found` and `expected` are short phrases; `remedy` is an imperative
    sentence.
    """

    def __init__(self, where: str, found: str, expected: str, remedy: str = ""):
        self.where, self.found, self.expected, self.remedy = where, found, expected, remedy
        super().__init__(f"{where}: found {found}; expected {expected}." + (f" {remedy}" if remedy else ""))

    def __reduce__(self) -> tuple:
        return type(self), (self.where, self.found, self.expected, self.remedy)
