"""What is written: plain values for JSON, and one file whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from causalgia.documents.errors import InputError


def write_text(path: Path, text: str) -> None:
    """Puts a text in place of whatever file stands at `path`; InputError, with nothing left behind, where it cannot."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        found = f"a place that cannot be written ({error.strerror})"
        raise InputError(str(path), found, "a writable path", "Choose another.") from None


def clean(value: Any) -> Any:
    """The same structure with plain Python numbers and None for what is not a finite number."""
    if isinstance(value, dict):
        return {str(key): clean(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [clean(part) for part in value]
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return value
