"""Progress with rate and time left: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

INTERVAL = 0.2
PLAIN_INTERVAL = 5.0


@contextmanager
def stage(title: str, unit: str, total: int | None, quiet: bool) -> Iterator[Callable[[int], None]]:
    """Shows how far a stage is; the function it gives counts finished units (it may be called from threads)."""
    line = _Line(title, unit, total, quiet)
    line.show(force=True)
    yield line.advance
    line.finish()


class _Line:
    def __init__(self, title: str, unit: str, total: int | None, quiet: bool):
        self.title, self.unit, self.total, self.quiet = title, unit, total, quiet
        self.live = sys.stderr.isatty()
        self.done, self.start = 0, time.monotonic()
        self.shown = -1e9

    def advance(self, count: int) -> None:
        self.done += count
        self.show()

    def show(self, force: bool = False) -> None:
        now = time.monotonic()
        if self.quiet or (now - self.shown < (INTERVAL if self.live else PLAIN_INTERVAL) and not force):
            return
        self.shown = now
        if self.done == 0:
            self._write(f"{self.title} ...")
            return
        elapsed = max(now - self.start, 1e-9)
        text = f"{self.title}: {self.done:,} {self.unit}, {self.done / elapsed:,.0f} {self.unit}/s"
        if self.total is not None and self.done < self.total:
            text += f", {(self.total - self.done) * elapsed / self.done:.0f} s left"
        self._write(text)

    def finish(self) -> None:
        if self.quiet:
            return
        elapsed = max(time.monotonic() - self.start, 1e-9)
        rate = f": {self.done:,} {self.unit}, {self.done / elapsed:,.0f} {self.unit}/s" if self.done else ""
        self._write(f"{self.title}{rate}, {elapsed:.1f} s")
        if self.live:
            sys.stderr.write("\n")

    def _write(self, text: str) -> None:
        sys.stderr.write(f"\r\033[K{text}" if self.live else f"{text}\n")
        sys.stderr.flush()
