"""Work in processes of its own: a job can be killed at any time, and whatever it did leaves the server as it was.

A process is started ahead of need, imports what the work needs, and then takes one job after another, so that what it
keeps in memory serves the next one. Jobs and what they tell travel as pickles over its pipes, which nobody else holds.
"""

from __future__ import annotations

import os
import pickle
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from causalgia.documents.errors import InputError

State = Literal["waiting", "running", "done", "failed", "cancelled"]
MEMORY = 8 * 2**30  # bytes a process may address: a crafted upload ends its own process, not the machine
CODE = "from causalgia.app.processes import serve; serve()"


@dataclass(frozen=True)
class Stage:
    """How far a job is: `done` of `total` units since `start` (monotonic seconds)."""

    title: str
    unit: str
    total: int
    done: int
    start: float

    @property
    def text(self) -> str:
        """Rate and time left in words."""
        elapsed = max(time.monotonic() - self.start, 1e-9)
        if not self.done:
            return f"{self.title} …"
        left = max(self.total - self.done, 0) * elapsed / self.done
        return f"{self.title}: {self.done:,} of {self.total:,} {self.unit}, about {left:.0f} s left"


class Job:
    """One piece of work: `part` may come before `result`; `error` says why it failed. It waits for the job `after`."""

    def __init__(self, task: str, options: Any, after: Job | None = None):
        self.task, self.options, self.after = task, options, after
        self.state: State = "waiting"
        self.stage: Stage | None = None
        self.part: Any = None
        self.result: Any = None
        self.error: InputError | None = None
        self.start, self.seconds = time.monotonic(), 0.0
        self.ended = threading.Event()
        self._process: _Process | None = None
        self._lock = threading.Lock()

    def cancel(self) -> None:
        """Ends the job at once, whatever it is doing; nothing happens to one that has ended."""
        with self._lock:
            if self.ended.is_set():
                return
            self.state = "cancelled"
            if self._process is not None:
                self._process.kill()

    def cancel_unless_running(self) -> None:
        """Ends the job where nothing would be lost."""
        with self._lock:
            if self.state == "waiting":
                self.state = "cancelled"

    def wait(self, seconds: float) -> Job:
        """The job when it has ended; TimeoutError when it has not by then."""
        if not self.ended.wait(seconds):
            raise TimeoutError(self.task)
        return self

    def run_in(self, process: _Process) -> None:
        """Does the job in a process, and listens to it."""
        with self._lock:
            if self.state == "cancelled":
                return
            self._process, self.state = process, "running"
        try:
            process.send((self.task, self.options))
            while not self._hear(*process.receive()):
                pass
        except (EOFError, OSError, pickle.UnpicklingError):
            process.kill()
            self._fail(InputError(self.task, "work that ended early", "enough memory for it", "Ask for less."))
        finally:
            with self._lock:
                self._process = None

    def end(self) -> None:
        """Says that nothing more will come."""
        self.seconds = time.monotonic() - self.start
        self.ended.set()

    def _hear(self, kind: str, content: Any) -> bool:
        """Takes what the process tells; True when it was the last."""
        if kind == "stage":
            self.stage = Stage(*content)
        elif kind == "part":
            self.part = content
        elif kind == "failed":
            self._fail(content)
        else:
            with self._lock:
                if self.state == "running":
                    self.result, self.state = content, "done"
        return kind in ("failed", "done")

    def _fail(self, error: InputError) -> None:
        with self._lock:
            if self.state == "running":
                self.error, self.state = error, "failed"


class Workers:
    """At most `most` jobs at once, each in a process; the others wait. Use as a context: leaving it kills all.

    One process more is always ready where there may be one: to start it takes longer than most jobs.
    """

    def __init__(self, most: int = 2):
        self._most, self._taken = most, 0
        self._places = threading.Semaphore(most)
        self._lock = threading.Lock()
        self._idle: list[_Process] = []
        self._busy: set[Job] = set()
        self._closed = False

    def __enter__(self) -> Workers:
        with self._lock:
            self._fill()
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._closed = True
            busy, idle = set(self._busy), list(self._idle)
        for job in busy:
            job.cancel()
        for process in idle:
            process.close()
        for job in busy:
            job.ended.wait()

    def start(self, task: str, options: Any, *, alike: Any = None, after: Job | None = None) -> Job:
        """Begins a job of `work.TASKS`, when the job `after` has ended; a process that did one with the same `alike`
        before is preferred.
        """
        job = Job(task, options, after)
        with self._lock:
            self._busy.add(job)
        threading.Thread(target=self._do, args=(job, alike), daemon=True).start()
        return job

    def _do(self, job: Job, alike: Any) -> None:
        if job.after is not None:
            job.after.ended.wait()
        try:
            with self._places:
                if job.state == "waiting":
                    process = self._take(alike)
                    try:
                        job.run_in(process)
                    finally:
                        process.alike = alike
                        self._give(process)
        finally:
            with self._lock:
                self._busy.discard(job)
            job.end()

    def _take(self, alike: Any) -> _Process:
        with self._lock:
            found = next((process for process in self._idle if process.alike == alike), None)
            if found is None and self._idle:
                found = next((process for process in self._idle if process.alike is None), self._idle[0])
            if found is not None:
                self._idle.remove(found)
            self._taken += 1
            self._fill()
        return found or _Process()

    def _give(self, process: _Process) -> None:
        with self._lock:
            self._taken -= 1
            if process.alive and not self._closed:
                self._idle.append(process)
            else:
                process.close()
            self._fill()

    def _fill(self) -> None:
        if not self._closed and not self._idle and self._taken < self._most:
            self._idle.append(_Process())


class _Process:
    """A process of `serve`, in a group of its own, so that what it forked dies with it, and with a folder of its own
    for temporary files, which may be a patient's: the folder goes with the process, even where that is killed at work.
    """

    def __init__(self) -> None:
        self.alike: Any = None
        self._killed = False
        self._folder = tempfile.mkdtemp(prefix="causalgia-")
        self._child = subprocess.Popen(
            [sys.executable, "-c", CODE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            env={**os.environ, **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), self._folder)},
        )

    @property
    def alive(self) -> bool:
        return not self._killed and self._child.poll() is None

    def send(self, message: Any) -> None:
        assert self._child.stdin is not None
        pickle.dump(message, self._child.stdin, pickle.HIGHEST_PROTOCOL)
        self._child.stdin.flush()

    def receive(self) -> tuple[str, Any]:
        assert self._child.stdout is not None
        return pickle.load(self._child.stdout)

    def kill(self) -> None:
        """Ends it and what it forked, from any thread; whoever reads from it then meets its end, and closes it."""
        self._killed = True
        with suppress(ProcessLookupError):
            if hasattr(os, "killpg"):
                os.killpg(self._child.pid, signal.SIGKILL)
            else:
                self._child.kill()

    def close(self) -> None:
        """Ends it and lets go of all that it held; for whoever took it."""
        self.kill()
        self._child.wait()
        for pipe in (self._child.stdin, self._child.stdout):
            with suppress(OSError):
                assert pipe is not None
                pipe.close()
        shutil.rmtree(self._folder, ignore_errors=True)


def serve() -> None:
    """What a process does: takes jobs from its standard input until that closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    jobs, told = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # nothing else writes between the pickles
    _bound_memory()
    from causalgia.app import work

    def tell(kind: str, content: Any) -> None:
        pickle.dump((kind, content), told, pickle.HIGHEST_PROTOCOL)
        told.flush()

    work.warm()
    while True:
        try:
            task, options = pickle.load(jobs)
        except EOFError:
            return
        try:
            tell("done", work.TASKS[task](options, tell))
        except InputError as error:
            tell("failed", error)
        except MemoryError:
            tell("failed", InputError(task, "more than memory holds", "a smaller job", "Ask for less."))
        except Exception as error:  # whatever is wrong with it, the next job is none the worse
            sys.excepthook(type(error), error, error.__traceback__)
            found = f"an error of the program ({type(error).__name__}: {error})"
            tell("failed", InputError(task, found, "none", "Please report it; the terminal has the details."))


def _bound_memory() -> None:
    try:
        import resource
    except ImportError:  # not on Windows
        return
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    least = MEMORY if hard == resource.RLIM_INFINITY else min(MEMORY, hard)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (least, hard))


Tell = Callable[[str, Any], None]
