"""The job of a page, whatever the page is about: begun or refused, followed, shown, cancelled, ended with the visit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from htmltools import TagChild, TagList, tags
from shiny import Inputs, Session, reactive, render, ui

from causalgia.app.parts import problem
from causalgia.app.processes import Job, Workers
from causalgia.documents.errors import InputError

POLL = 0.1  # seconds between two looks at a job
SHOWN = 0.3  # seconds between two pictures of its progress
ACTIVE = ("waiting", "running")


class PageJob:
    """The one job of a page. To be made in the page's server: it fills the outputs `bar` and `failed` of `outputs`, and
    listens to the buttons of `buttons`.

    `idle` stands where nothing was asked yet, `done` says what a finished job was.
    """

    def __init__(
        self,
        input: Inputs,
        session: Session,
        workers: Workers,
        *,
        idle: str,
        done: Callable[[Job], str] = lambda job: "",
        error: Callable[[InputError], TagChild] = problem,
    ):
        self._workers = workers
        self._job: reactive.Value[Job | None] = reactive.Value(None)
        self._seen: reactive.Value[tuple] = reactive.Value(())
        self._refused: reactive.Value[InputError | None] = reactive.Value(None)
        session.on_ended(self.stop)
        self._follow(input)
        self._show(idle, done, error)

    def begin(
        self,
        task: str,
        ask: Callable[[], Any],
        *,
        alike: Callable[[Any], Any] = lambda options: None,
        after: Callable[[Any], Job | None] = lambda key: None,
    ) -> None:
        """Starts what `ask` gives in place of what runs now; an InputError of `ask` is shown instead.

        Jobs of which `alike` says the same are done by one process where that can be; `after` names by it the job that
        makes this one ready.
        """
        self._refused.set(None)
        try:
            options = ask()
        except InputError as error:
            self._refused.set(error)
            return
        key, old = alike(options), self.now()
        if old is not None and old.part is not None:
            before: Job | None = old  # it ends soon, and what its process keeps serves this one
        else:
            self.stop()
            before = after(key)
            if before is not None:
                before.cancel_unless_running()
        self._job.set(self._workers.start(task, options, alike=key, after=before))

    def stop(self) -> None:
        """Ends it, where it has not ended."""
        job = self.now()
        if job is not None:
            job.cancel()

    def clear(self) -> None:
        """The page as it was before anything was asked."""
        self.stop()
        self._refused.set(None)
        self._job.set(None)

    def now(self) -> Job | None:
        """The job, for those who do not follow it."""
        with reactive.isolate():
            return self._job.get()

    def followed(self) -> Job | None:
        """The job, for whoever is to be drawn again when it has begun, told a part or ended."""
        self._seen.get()
        return self._job.get()

    def result(self) -> Any:
        """Its result, followed; None until there is one."""
        job = self.followed()
        return None if job is None else job.result

    def finished(self) -> Job:
        """The job with its result, for a download; InputError where there is none."""
        job = self.now()
        if job is None or job.result is None:
            raise InputError("download", "no finished work", "a result", "Wait for it, or start it first.")
        return job

    def _follow(self, input: Inputs) -> None:
        @reactive.effect
        @reactive.event(input.cancel)
        def _cancel() -> None:
            self.stop()

        @reactive.effect
        def _watch() -> None:
            job = self._job.get()
            state = None if job is None else job.state
            active = state in ACTIVE
            if active:
                reactive.invalidate_later(POLL)
            seen = () if job is None else (job, state, job.part is not None)
            with reactive.isolate():
                new = self._seen.get() != seen
            if new:
                self._seen.set(seen)
                ui.update_action_button("cancel", disabled=not active)

    def _show(self, idle: str, done: Callable[[Job], str], error: Callable[[InputError], TagChild]) -> None:
        @render.ui
        def bar() -> TagChild:
            job = self.followed()
            if job is None:
                return tags.p(idle, class_="note") if self._refused.get() is None else None
            if job.state in ACTIVE:
                reactive.invalidate_later(SHOWN)
                return progress(job)
            if job.state == "failed":
                return None
            if job.state == "cancelled":
                return tags.p("Cancelled.", class_="stage", role="status")
            said = done(job)
            text = f"{said}; done in" if said else "Done in"
            return tags.p(f"{text} {job.seconds:.1f} s.", class_="stage", role="status")

        @render.ui
        def failed() -> TagChild:
            job = self.followed()
            found = self._refused.get() or (job.error if job is not None else None)
            return None if found is None else error(found)


def buttons(run: TagChild, *more: TagChild) -> TagChild:
    """The buttons under a form: what runs it, if there is such, Cancel, and others."""
    return tags.div(run, ui.input_action_button("cancel", "Cancel", disabled=True), *more, class_="buttons")


def outputs(*more: TagChild) -> TagList:
    """How far the job of the page is, why it failed, and what it gave."""
    return TagList(ui.output_ui("bar"), ui.output_ui("failed"), *more)


def progress(job: Job) -> TagChild:
    """How far a waiting or running job is."""
    before = job.after
    stage = job.stage if job.state == "running" else before.stage if before is not None else None
    if stage is None:
        return tags.p("Starting …" if job.state == "running" else "Waiting for a free place …", class_="stage")
    known = {"value": str(min(stage.done / stage.total, 1.0))} if stage.total else {}
    return tags.div(tags.progress(max="1", aria_label="progress", **known), tags.p(stage.text, class_="stage"))
