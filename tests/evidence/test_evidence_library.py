"""The library's studies: every file is whole, names no address, and every source of a parameter is a study."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from causalgia.documents import InputError
from causalgia.evidence.base import read
from causalgia.evidence.check import KEY, check, sources, unresolved
from causalgia.evidence.claims import VERDICTS, reason
from causalgia.evidence.figures import figure
from causalgia.evidence.words import FOLDER, RANDOMISED, words

FILES = sorted((FOLDER / "studies").glob("*.toml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_study_is_whole(path):
    study = read(path, words())
    for outcome in study.outcomes:
        assert figure(outcome, words())
        assert outcome.locator and outcome.read


def test_all_of_the_evidence_is_there(evidence):
    # 109 studies with 313 outcomes and 78 biomarker rows were read; pairs such as "58.8 / 56.3" became two findings,
    # four biomarker rows repeated outcomes, and the sources of model parameters came with their numbers.
    assert len(evidence.studies) >= 147
    assert sum(1 for _ in evidence.outcomes()) >= 568
    assert {"dirckx2013", "goebel2010", "goebel2017_LIPS", "huygen2004_mast", "manning2014"} <= set(evidence.studies)


def test_no_web_address_anywhere():
    for path in FOLDER.rglob("*.toml"):
        found = re.search(r"https?:|www\.|\.(com|org|net|nl|edu|gov|cn|it)\b", path.read_text(encoding="utf-8"))
        assert not found, f"{path.name}: {found and found[0]}"


def test_published_numbers_read_as_published(evidence):
    _, pain = evidence.outcome("goebel2010:pain-difference")
    assert (pain.value, pain.interval, pain.n, pain.unit) == (-1.55, (-1.82, -1.29), 12, "NRS 0-10")
    _, tnf = evidence.outcome("huygen2004_mast:tnf-alpha-crps1-affected")
    assert (tnf.value, tnf.quartiles, tnf.n, tnf.unit) == (31, (15.5, 131.5), 20, "pg/mL")
    _, worse = evidence.outcome("dirckx2013:eq-vas")
    assert "worse with infliximab" in worse.result and worse.p == "significant"
    _, response = evidence.outcome("targan1997:response-week-4-5-mg-kg")
    assert (response.events, response.n, response.value) == (22, 27, 81)


def test_sources_that_disagree_stand_side_by_side(evidence):
    found = {
        key: evidence.outcome(f"{key}:serious-infection")[1].value
        for key in ("bongartz2006", "li2021_AE", "earlyRA_safety")
    }
    assert found == {"bongartz2006": 2.0, "li2021_AE": 1.72, "earlyRA_safety": 1.28}


def test_misprints_of_the_sources_are_notes_and_not_intervals(evidence):
    for link in ("kalita2006:barthel-change-prednisolone", "kalita_20v40:effect-size"):
        _, outcome = evidence.outcome(link)
        assert outcome.interval is None and "prints a 95 % CI" in outcome.note


def test_randomised_studies_have_two_arms_and_few_have_no_outcome(evidence):
    for study in evidence.studies.values():
        if study.type in RANDOMISED:
            assert len(study.arms) >= 2, study.key
    assert sum(not study.outcomes for study in evidence.studies.values()) <= 6


def test_check_finds_nothing_wrong():
    found = check(FOLDER)
    assert found.problems == ()
    assert (found.claims, found.sources) == (39, len(list(sources())))


def test_every_source_of_a_model_parameter_resolves(evidence):
    named = Counter(KEY.match(text)[0] for _, _, text in sources() if not text.startswith("assumed"))
    assert named and all(evidence.resolve(key) for key in named)
    assert evidence.study("ternant2021").key == "ifx_TMDD_IBD"
    assert unresolved("nobody2031, table 2", evidence) == "nobody2031"
    assert unresolved("assumed: as in nobody2031, abstract", evidence) == "nobody2031"
    assert unresolved("assumed: half-life 77 days", evidence) == ""


def test_39_claims_with_the_verdicts_of_the_ledger(claim_file):
    # counted in the ledger: 14 supported (three with a restriction), 7 overstated, 7 contradicted (one by omission)
    assert [claim.number for claim in claim_file.claims] == list(range(1, 40))
    tally = Counter(claim.verdict for claim in claim_file.claims)
    assert [tally[verdict] for verdict in VERDICTS] == [14, 7, 7, 11]
    assert Counter(claim.document for claim in claim_file.claims) == {"A": 27, "B": 12}
    assert {claim.number for claim in claim_file.claims if claim.qualifier} == {9, 19, 28, 37}


def test_links_of_claims_lead_somewhere(claim_file, evidence):
    for claim in claim_file.claims:
        for link in claim.decides:
            assert evidence.outcome(link) if ":" in link else evidence.study(link)
    undecided = {claim.number for claim in claim_file.claims if not claim.decides}
    assert undecided == {24, 35, 38}  # nothing to link: references not looked up, general knowledge, nothing found


def test_figures_of_a_verdict_are_computed_not_typed(claim_file, evidence):
    for claim in claim_file.claims:
        bare = re.sub(r"\{[^{}]*\}", "", claim.reason)
        bare = re.sub(r"IL-\d|ACR20|claims [\d, and]+|[a-z]+\d{4}(_[A-Z]+)?", "", bare)
        assert not re.search(r"\d", bare), f"claim {claim.number}: {bare}"
        assert "{" not in reason(claim, evidence)
    text = reason(claim_file.claims[33], evidence)
    assert "−1.55 NRS points (95 % CI −1.82 to −1.29)" in text and "n = 111" in text


def test_words_of_drugs(evidence):
    assert evidence.words.drug("IVIG") == ("ivig",) and evidence.words.drug("Remicade") == ("infliximab",)
    assert set(evidence.words.drug("anti-tnf")) == {"infliximab", "adalimumab", "etanercept", "anti-tnf-any"}
    with pytest.raises(InputError, match="--drug: found 'infliximob'; expected one of adalimumab"):
        evidence.words.drug("infliximob")


def test_a_study_that_is_not_there_is_answered_with_near_ones(evidence):
    with pytest.raises(InputError, match="such as dirckx2013"):
        evidence.study("dirkx2013")


def test_units_of_measures_and_scales_are_known_words():
    known = words()
    for measure in known.measures.values():
        assert set(measure.units) <= set(known.units)
        assert measure.better in ("lower", "higher")
