"""Report: the results as numbers, a verdict in words, figures, and one self-contained page.

The verb `causalgia.report` and this package share a name, and Python binds the package to it once any part of it is
imported. So the package can be called: it is the verb of `report.page`.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any


class _Verb(ModuleType):
    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """As `causalgia.report.page.report`."""
        from causalgia.report.page import report

        return report(*arguments, **options)


sys.modules[__name__].__class__ = _Verb
