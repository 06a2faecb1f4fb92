"""Uploaded files, as far as the server itself reads them: bounded, as text, by a name that can do no harm."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from causalgia.documents.errors import InputError

MOST_OF_PATIENT = 2**20
SUFFIXES = (".toml", ".csv")


def patient_text(uploaded: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """Name and text of an uploaded patient document or series; InputError for what cannot be one."""
    given = str(uploaded[0]["name"])
    suffix = next((suffix for suffix in SUFFIXES if given.lower().endswith(suffix)), "")
    # The name of a series is that of its file; nothing but a plain name in the worker's own directory can come of it.
    stem = re.sub(r"[^\w.-]+", "_", given[: len(given) - len(suffix)])[-60:].lstrip("-._") or "patient"
    name = f"{stem}{suffix}"
    if not suffix:
        raise InputError(given[-80:], "another kind of file", "a patient (.toml) or a series (.csv)", "Choose another.")
    content = Path(uploaded[0]["datapath"]).read_bytes()
    if len(content) > MOST_OF_PATIENT:
        found = f"{len(content) / 2**20:.1f} MB"
        raise InputError(name, found, f"at most {MOST_OF_PATIENT // 2**20} MB", "Leave out what is not needed.")
    try:
        return name, content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        found = f"bytes that are no text ({error.reason} at byte {error.start:,})"
        raise InputError(name, found, "text in UTF-8", "Save it as UTF-8.") from None
