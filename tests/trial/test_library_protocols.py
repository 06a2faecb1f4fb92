"""The library's trials: they load, their published results are in the evidence, their doses as reported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

import causalgia as cg
from causalgia.documents import reader
from causalgia.evidence.base import Evidence
from causalgia.evidence.check import ASSUMED, named, unresolved

NAMES = reader.names("protocol")
# Our own questions: no report to compare with.
OURS = {
    "acute-vs-chronic",
    "gated-infliximab",
    "high-vs-low-cytokines",
    "ivig-with-infliximab",
    "oral-vs-injected-steroid",
    "steroid-with-thalidomide",
    "thalidomide-open",
    "ungated-infliximab",
}
KG = 70.0
EVERY_4 = (0, 2, 6, 10, 14, 18, 22, 26, 30, 34, 38, 42, 46, 50)
EVERY_8 = (0, 2, 6, 14, 22, 30, 38, 46)

Given = tuple[str, str, float, Sequence[float]]
# Typed again from the reports, not from the documents: people, and by arm the drug, the route, mg for 70 kg, and days.
# "?" after a drug: the report gives no dose, the document must say that it is assumed.
REPORTS: dict[str, tuple[int, Mapping[str, Sequence[Given]]]] = {
    "dirckx-2013": (13, {"infliximab": [("infliximab", "intravenous", 350, (0, 14, 42))], "placebo": []}),
    "huygen-2004": (2, {"infliximab": [("infliximab?", "intravenous", 350, (0, 14, 42))]}),
    "bernateck-2007": (1, {"infliximab": [("infliximab?", "regional_block", 35, (0,))]}),
    "eisenberg-2013": (10, {"adalimumab": [("adalimumab", "subcutaneous", 40, (0, 14, 28))]}),
    "karppinen-2003": (72, {"infliximab": [("infliximab", "intravenous", 210, (0,))], "historical": []}),
    "korhonen-first-ii": (40, {"infliximab": [("infliximab", "intravenous", 350, (0,))], "placebo": []}),
    "cohen-2009": (
        24,
        {f"etanercept-{mg}-mg": [("etanercept", "transforaminal", mg, (0, 14))] for mg in (2, 4, 6)} | {"saline": []},
    ),
    "cohen-2012": (
        84,
        {
            "etanercept": [("etanercept", "epidural", 4, (0, 14))],
            "steroid": [("methylprednisolone", "epidural", 60, (0, 14))],
            "saline": [],
        },
    ),
    "targan-1997": (
        108,
        {f"{dose}-mg": [("infliximab", "intravenous", dose * KG, (0,))] for dose in (5, 10, 20)} | {"placebo": []},
    ),
    "tobinick-2012": (629, {"etanercept": [("etanercept?", "perispinal", 25, (0,))]}),
    "ralph-2020": (26, {"etanercept": [("etanercept?", "perispinal", 25, (0, 14))], "saline": []}),
    "pesto": (126, {"etanercept": [("etanercept", "perispinal", 25, (0,))], "placebo": []}),
    "goebel-2010": (
        13,
        {
            "ivig-first": [("immunoglobulin", "intravenous", 17500, (0, 1))],
            "saline-first": [("immunoglobulin", "intravenous", 17500, (28, 29))],
        },
    ),
    "goebel-2017": (111, {"immunoglobulin": [("immunoglobulin", "intravenous", 35000, (0, 21))], "placebo": []}),
    "manning-2014": (184, {"lenalidomide": [("lenalidomide", "oral", 10, tuple(range(84)))], "placebo": []}),
    "lipsky-attract": (
        428,
        {
            f"{dose}-mg-every-{often}-weeks": [
                ("infliximab", "intravenous", dose * KG, tuple(7 * week for week in weeks)),
            ]
            for dose in (3, 10)
            for often, weeks in ((4, EVERY_4), (8, EVERY_8))
        }
        | {"placebo": []},
    ),
}


@pytest.fixture(scope="module")
def evidence():
    return Evidence.load()


@pytest.fixture(scope="module", params=NAMES)
def protocol(request):
    return cg.Protocol.load(request.param)


def test_it_is_a_whole_document(protocol):
    assert protocol.question.endswith("?") and protocol.assumptions
    assert protocol.path.stem == protocol.name
    assert len(protocol.order) == max(len(protocol.arms), 2)


def test_published_results_lead_to_the_evidence(protocol, evidence):
    assert protocol.published or protocol.name in {"gated-infliximab", "ungated-infliximab"}
    for row in protocol.published:
        assert row.result and not row.source.startswith(ASSUMED)
        assert named(row.source) and not unresolved(row.source, evidence)
        assert not (row.result.startswith("none:") and row.endpoint), "a result of an endpoint that was not published"


def test_published_numbers_agree_with_each_other(protocol):
    for row in protocol.published:
        arm = row.arm or protocol.treatment
        if row.shares and not protocol.single_arm:
            x, n = row.shares[arm]
            y, m = row.shares[protocol.control]
            assert row.estimate == pytest.approx(x / n - y / m, abs=0.006)
        if row.interval is not None:
            assert row.interval[0] <= row.estimate <= row.interval[1]
            assert row.significant is not (row.interval[0] < 0 < row.interval[1])


def test_every_trial_has_a_report_or_is_ours():
    assert set(NAMES) == set(REPORTS) | OURS | {"kalita-2006"}


@pytest.mark.parametrize("name", REPORTS)
def test_doses_are_those_of_the_report(name):
    protocol = cg.Protocol.load(name)
    people, arms = REPORTS[name]
    assert protocol.evaluation.sizes == (people,)
    assert set(protocol.arms) == set(arms)
    for arm, courses in arms.items():
        found = protocol.arms[arm].courses
        assert [(course.drug, course.route) for course in found] == [(row[0].rstrip("?"), row[1]) for row in courses]
        for course, (drug, _, dose, days) in zip(found, courses, strict=True):
            np.testing.assert_allclose(course.milligrams(np.array([KG]))[0], dose)
            np.testing.assert_allclose(course.days, days)
            if drug.endswith("?"):
                assert any(" dose" in text or "amount" in text for text in protocol.assumptions if "assumed" in text)


def test_the_taper_of_kalita():
    # 40 mg a day for 14 days, then 10 mg less each week (American Family Physician 2006;74:832)
    protocol = cg.Protocol.load("kalita-2006")
    (course,) = protocol.arms["prednisolone"].courses
    np.testing.assert_allclose(course.milligrams(np.array([KG]))[0], [40] * 14 + [30] * 7 + [20] * 7 + [10] * 7)
    np.testing.assert_allclose(course.days, range(35))
    assert protocol.evaluation.sizes == (60,) and not protocol.arms["piroxicam"].courses


def test_injected_steroid_is_the_oral_one_in_equivalents():
    arms = cg.Protocol.load("oral-vs-injected-steroid").arms
    (oral,), (injected,) = arms["oral"].courses, arms["injected"].courses
    weeks = oral.milligrams(np.array([KG]))[0].reshape(5, 7).sum(axis=1)
    np.testing.assert_allclose(injected.milligrams(np.array([KG]))[0], 0.8 * weeks)


@pytest.mark.parametrize(
    ("name", "arm", "outcome"),
    [
        ("targan-1997", "5-mg", "targan1997:response-week-4-5-mg-kg"),
        ("targan-1997", "10-mg", "targan1997:response-week-4-10-mg-kg"),
        ("targan-1997", "20-mg", "targan1997:response-week-4-20-mg-kg"),
        ("targan-1997", "placebo", "targan1997:response-week-4-placebo"),
        ("karppinen-2003", "infliximab", "karppinen2003:painless-over-75-percent-fall-infliximab-2-weeks"),
        ("karppinen-2003", "historical", "karppinen2003:painless-over-75-percent-fall-historical-control-2-weeks"),
        ("kalita-2006", "prednisolone", "kalita2006:improved-prednisolone"),
        ("kalita-2006", "piroxicam", "kalita2006:improved-piroxicam"),
        ("lipsky-attract", "placebo", "lipsky2000_ATTRACT:acr20-placebo-mtx"),
    ],
)
def test_shares_are_those_of_the_evidence(name, arm, outcome, evidence):
    _, found = evidence.outcome(outcome)
    shares = [row.shares[arm] for row in cg.Protocol.load(name).published if arm in row.shares]
    assert shares
    for x, n in shares:
        assert 100 * x / n == pytest.approx(found.value, abs=0.51)
        assert found.events in (None, x) and found.n in (None, n)


@pytest.mark.parametrize(
    ("name", "outcome"),
    [("goebel-2010", "goebel2010:pain-difference"), ("cohen-2012", "cohen2012:leg-pain-steroid-1-month-saline")],
)
def test_differences_are_those_of_the_evidence(name, outcome, evidence):
    _, found = evidence.outcome(outcome)
    rows = [(row.estimate, row.interval) for row in cg.Protocol.load(name).published]
    assert (found.value, tuple(found.interval)) in rows
