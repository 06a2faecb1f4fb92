"""Compiled kernels on disk: object code beside a page of JSON, under a key that holds all they depend on."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from functools import cache
from pathlib import Path
from typing import Any


def cache_folder() -> Path:
    """Where kernels are kept: `causalgia/kernels` in the user's cache directory (XDG_CACHE_HOME)."""
    root = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(root) / "causalgia" / "kernels"


@cache
def _generators() -> str:
    """A digest of every source file that shapes a kernel."""
    package = Path(__file__).parent
    sources = sorted([*package.glob("*.py"), *(package.parent / "models").glob("*.py")])
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()


def kernel_key(text: str, lanes: int, machine: str) -> str:
    """sha256 of model text, lanes, generator sources and machine."""
    return hashlib.sha256("\0".join((text, str(lanes), _generators(), machine)).encode()).hexdigest()


def read_kernel(key: str) -> tuple[bytes, dict[str, Any]] | None:
    """Object code and its page; None when they are missing, unreadable or damaged."""
    try:
        code = (cache_folder() / f"{key}.o").read_bytes()
        page = json.loads((cache_folder() / f"{key}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    whole = isinstance(page, dict) and page.get("sha256") == hashlib.sha256(code).hexdigest()
    return (code, page["kernel"]) if whole else None


def write_kernel(key: str, code: bytes, page: dict[str, Any]) -> None:
    """Keep a kernel, each file whole or not at all; a folder that cannot be written is no error."""
    text = json.dumps({"sha256": hashlib.sha256(code).hexdigest(), "kernel": page})
    try:
        cache_folder().mkdir(parents=True, exist_ok=True)
        _write_whole(cache_folder() / f"{key}.o", code)
        _write_whole(cache_folder() / f"{key}.json", text.encode())
    except OSError:
        return


def _write_whole(path: Path, content: bytes) -> None:
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        os.replace(temporary, path)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise
