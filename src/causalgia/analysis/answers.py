"""The questions of a trial, answered from its tables: raised, lowered, relieved, mediated, spared, and harm.

Reads ADaM-shaped tables and cannot tell a simulated trial from a real one.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from causalgia.analysis.answer import UNCONTROLLED, Answer, Companion, censored, numbers, reported, versus
from causalgia.analysis.censored import censored_mean, censored_paired, censored_regression
from causalgia.analysis.checks import check_tables
from causalgia.analysis.estimates import STATUS_TEXT, Effect, Status
from causalgia.analysis.guards import assay_guards, gate_guards, limit_guards, side_guards
from causalgia.analysis.harmed import harm
from causalgia.analysis.mediated import mediated
from causalgia.analysis.ranks import rank_test
from causalgia.analysis.relieved import relieved
from causalgia.analysis.spare import spared
from causalgia.analysis.tables import Subjects, visit_values
from causalgia.documents import Instrument, Protocol

__all__ = ["Answer", "Companion", "analyse", "reported"]

Tables = dict[str, pl.DataFrame]


def analyse(protocol: Protocol, tables: Tables) -> dict[str, Answer]:
    """The protocol's questions answered from its tables adsl, adlb, adqs and adae.

    With several arms the questions are those of the primary comparison; "lowered ARM" and "relieved ARM" follow for the
    others. Raises InputError, with table, row and column, for what cannot be read as meant.
    """
    check_tables(protocol, tables)
    pair = protocol.pair(protocol.treatment)
    subjects = Subjects.read(pair, tables)
    answers = {
        "raised": _raised(pair, tables, subjects),
        "lowered": _lowered(pair, tables, subjects),
        "relieved": relieved(pair, tables, subjects),
        "mediated": mediated(pair, tables, subjects),
        "spared": spared(pair, tables, subjects),
    }
    for name in protocol.order[2:]:
        other = protocol.pair(name)
        subjects = Subjects.read(other, tables)
        answers[f"lowered {name}"] = _lowered(other, tables, subjects)
        answers[f"relieved {name}"] = relieved(other, tables, subjects)
    return answers | {"harm": harm(protocol, tables, Subjects.read(protocol, tables))}


def _raised(protocol: Protocol, tables: Tables, subjects: Subjects) -> Answer:
    """Affected against contralateral TNF in everybody measured at the first visit, before any gate."""
    endpoint = protocol.endpoints.lowered
    row = protocol.schedule[endpoint.measure]
    texts = ("Is local TNF raised in the affected limb?", "ratio of geometric means, affected / contralateral")
    method = "bivariate normal likelihood of the logs, censored at each value's own limit"
    if "contralateral" not in row.sides:
        return Answer(*texts, method, 0, reason="The protocol does not measure the contralateral side.")
    week, alpha = min(row.at), protocol.evaluation.alpha
    instrument, sides = Instrument.load(endpoint.measure), (endpoint.side, "contralateral")
    both = [visit_values(tables, instrument, side, week) for side in sides]
    ids = sorted(both[0].keys() & both[1].keys())
    if not ids:
        return Answer(*texts, method, 0, reason="Nobody was measured on both sides at the first visit.")
    pairs = [censored(np.array([values[name] for name in ids]).reshape(-1, 2)) for values in both]
    effect = censored_paired(*pairs[0], *pairs[1], alpha=alpha)
    levels = [
        Companion(
            f"{side} side",
            f"geometric mean in {instrument.unit}, censored at the limit",
            len(ids),
            **_level(censored_mean(*pair, alpha=alpha).mean),
        )
        for side, pair in zip(sides, pairs, strict=True)
    ]
    found, guards = numbers(effect, ratio=True), side_guards(protocol)
    return Answer(*texts, method, len(ids), companions=levels, guards=guards, **found)


def _level(mean: Effect) -> dict:
    """A geometric mean with its interval; a test against one has no meaning."""
    return {key: value for key, value in numbers(mean, ratio=True).items() if key != "p"}


def _lowered(protocol: Protocol, tables: Tables, subjects: Subjects) -> Answer:
    endpoint, alpha = protocol.endpoints.lowered, protocol.evaluation.alpha
    texts = (
        f"Does {protocol.treatment} lower it?",
        f"ratio of geometric means, {versus(protocol, endpoint)}, week {endpoint.at:g}",
    )
    y, covariates, seen = subjects.endpoint(protocol, tables, endpoint)
    (value, limit), n, treated = censored(y), int(seen.sum()), subjects.treated
    guards = [*gate_guards(protocol, tables, subjects), *assay_guards(protocol)]
    if protocol.single_arm:
        before, limit_before = censored(subjects.reading(tables, endpoint, endpoint.baseline))
        method = f"bivariate normal likelihood of the logs, censored at each value's own limit; {UNCONTROLLED}"
        effect: Effect = censored_paired(value, limit, before, limit_before, observed=seen, alpha=alpha)
        return Answer(*texts, method, n, guards=guards, **numbers(effect, ratio=True))
    method = "censored normal regression of log TNF on arm, baseline and stratification factors"
    effect = censored_regression(value, limit, treated, covariates, observed=seen, alpha=alpha)
    guards += limit_guards(y[:, 1] > 0, seen, treated)
    companions = [] if endpoint.second is not None else [_ranks(value, limit, treated, seen)]
    return Answer(*texts, method, n, companions=companions, guards=guards, **numbers(effect, ratio=True))


def _ranks(value: np.ndarray, limit: np.ndarray, treated: np.ndarray, seen: np.ndarray) -> Companion:
    """The declared companion of the censored regression: it does not lean on what lies below the limit."""
    test = rank_test(value, limit, treated, observed=seen)
    name, n = "chance that a treated reading is the higher, ties half", int(seen.sum())
    method = f"rank test, everything below the limit tied, {'exact' if test.exact[0] else 'normal approximation'}"
    if test.status[0] != Status.OK:
        return Companion(name, method, n, reason=STATUS_TEXT[Status(int(test.status[0]))])
    return Companion(name, method, n, estimate=float(test.estimate[0]), p=float(test.p[0]))
