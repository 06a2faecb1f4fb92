"""An analysed trial on the terminal and as files: answers, tables, figures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from causalgia.cli.files import ANSWERS, ESTIMANDS

if TYPE_CHECKING:
    import polars as pl

    from causalgia.analysis.answer import Answer, Companion
    from causalgia.documents import Protocol

WIDTH = 110
TITLES = {"tipping_point": "tipping point", "missing": "missing"}


def lines(protocol: Protocol, answers: dict[str, Answer]) -> Iterator[str]:
    """The answers as text: each with its interval, method, companions, what it allows to say, and its guards."""
    level = f"{100 * (1 - protocol.evaluation.alpha):g} %"
    for answer in answers.values():
        yield answer.question
        yield from _wrapped(_main(answer, level), "  ")
        if answer.known or answer.companions:
            yield from _wrapped(f"by {answer.method}", "  ")
        for row in _counts(answer):
            yield from _wrapped(row, "  - ")
        for companion in answer.companions:
            yield from _wrapped(_companion(companion, level), "  - ")
        for text in _missing(answer):
            yield from _wrapped(text, "  - ")
        if answer.reading:
            yield from _wrapped(answer.reading, "  > ")
        for guard in answer.guards:
            yield from _wrapped(guard, "  ! ")
        yield ""


def _wrapped(text: str, mark: str) -> list[str]:
    return wrap(text, WIDTH, initial_indent=mark, subsequent_indent=" " * len(mark), break_long_words=False)


def _main(answer: Answer, level: str) -> str:
    if not answer.known:
        return answer.reason or (f"{answer.quantity}:" if answer.details else "None recorded.")
    p = f"p {_p(answer.p)}" if answer.exact_p is None else f"exact p = {answer.exact_p:.3f}"
    return f"{answer.quantity}: {_interval(answer, level)}, {p}; n = {answer.n}."


def _interval(row: Answer | Companion, level: str) -> str:
    if row.lower is None or row.upper is None:
        return f"{row.estimate:.2f}"
    text = f"{row.estimate:.2f} ({level} interval {row.lower:.2f} to {row.upper:.2f})"
    return text.replace("-", "−")


def _companion(row: Companion, level: str) -> str:
    if row.estimate is None:
        return f"{row.name}: none. {row.reason}".replace("..", ".") + ("" if row.reason.endswith(".") else ".")
    p = "" if row.p is None else f", p {_p(row.p)}"
    return f"{row.name}: {_interval(row, level)}{p}; {row.method}; n = {row.n}."


def _counts(answer: Answer) -> Iterator[str]:
    """Counts by arm, a line a term."""
    terms: dict[str, list[str]] = {}
    for row in answer.details:
        text = f"{row['arm']} {row['events']} of {row['n']} ({row['lower']:.0%} to {row['upper']:.0%})"
        if row.get("rate") is not None:
            text += f", {row['rate']:.2f} a year ({row['rate_lower']:.2f} to {row['rate_upper']:.2f})"
        terms.setdefault(row["term"], []).append(text)
    yield from (f"{term}: {'; '.join(parts)}" for term, parts in terms.items())


def _missing(answer: Answer) -> Iterator[str]:
    """What it would take of those who left to change the conclusion."""
    if "tipping_point" not in answer.facts:
        return
    count, delta = answer.facts["missing"], answer.facts["tipping_point"]
    if delta == 0:
        text = "not significant with them imputed at random, so there is nothing to tip"
    elif delta is None:
        text = "no worse course of the treated among them, within the scale, would change the significance"
    else:
        text = f"the treated among them would have to fare {delta:.2f} worse than others alike to lose significance"
    yield f"{count:.0f} left before the endpoint: {text}."


def _p(p: float | None) -> str:
    return "not known" if p is None else "< 0.001" if p < 0.001 else f"= {p:.3f}"


def write(folder: Path, protocol: Protocol, tables: dict[str, pl.DataFrame], answers: dict[str, Answer]) -> Any:
    """Writes answers.json, estimands.json, the tables and the figures into `folder`; gives the answers as JSON."""
    from causalgia.analysis.courses import courses
    from causalgia.cli import output
    from causalgia.documents.estimand import estimands, to_json
    from causalgia.documents.writing import clean
    from causalgia.report.analysed import figures

    table = clean({key: asdict(value) for key, value in answers.items()})
    output.write_json(folder / ANSWERS, table)
    (folder / ESTIMANDS).write_text(to_json(estimands(protocol)), encoding="utf-8")
    course = clean(courses(protocol, tables))
    for name, rows in _tables(table, course).items():
        if rows:
            output.write_rows(folder / f"{name}.csv", rows)
    for name, text in figures(table, course, protocol.control).items():
        (folder / name).write_text(text, encoding="utf-8")
    return table


NUMBERS = ("n", "estimate", "lower", "upper", "p")


def _tables(answers: dict[str, Any], course: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Tables by name: answers, companions, counts, guards, series and courses."""
    tables: dict[str, list[dict[str, Any]]] = {"answers": [], "companions": [], "counts": [], "guards": []}
    series: dict[str, list[dict[str, Any]]] = {}
    for key, answer in answers.items():
        label = {"answer": key}
        plain = {name: answer[name] for name in ("quantity", *NUMBERS, "exact_p", "method", "reason", "reading")}
        tables["answers"].append(label | plain)
        for row in answer["companions"]:
            tables["companions"].append(label | {n: row[n] for n in ("name", *NUMBERS, "method", "reason")})
        tables["counts"] += [label | row for row in answer["details"]]
        tables["guards"] += [label | {"guard": text} for text in answer["guards"]]
        for name, rows in answer["series"].items():
            series.setdefault(name, []).extend(label | row for row in rows)
    return {**tables, **series, "courses": course}
