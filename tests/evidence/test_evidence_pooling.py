"""Which trials are comparable, the effects they give, and what is refused."""

from __future__ import annotations

from math import log, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from causalgia.analysis.pooling import pool
from causalgia.documents import InputError
from causalgia.evidence import Evidence, add
from causalgia.evidence.compare import compare, measures
from causalgia.evidence.effects import counts
from causalgia.evidence.export import comparison_table
from causalgia.evidence.forest import forest
from causalgia.evidence.schemas import Outcome
from causalgia.evidence.tables import axis_name, comparison_title


def left(comparison) -> dict[str, str]:
    return {item.study.key: item.reason for item in comparison.left}


def test_ivig_in_crps_has_one_number_and_a_larger_null_trial(evidence):
    found = compare(evidence, "ivig", "crps", "pain")
    (only,) = found.effects
    assert (only.study.key, only.y, only.ends, only.n) == ("goebel2010", -1.55, (-1.82, -1.29), 12)
    assert only.se == pytest.approx(0.53 / (2 * 1.959964), rel=1e-6)
    (null,) = found.left
    assert (null.study.key, null.study.n, null.null) == ("goebel2017_LIPS", 111, True)
    assert found.pooled is None and "k = 1" in found.refusal


def test_infliximab_in_rheumatoid_arthritis_is_pooled_with_a_prediction(evidence):
    found = compare(evidence, "infliximab", "ra")
    assert found.measure == "acr20" and found.scale == "odds ratio"
    effects = {item.study.key: item for item in found.effects}
    # Abe 2006: 30/49 and 27/51 against 11/47
    assert effects["abe2006"].y == pytest.approx(log(57 * 36 / (43 * 11)))
    assert effects["abe2006"].se == pytest.approx(sqrt(1 / 57 + 1 / 43 + 1 / 11 + 1 / 36))
    # The trial from China prints 75.86 % against 48.84 % with p 0.0003; 66/87 against 42/86 would give SE 0.3306.
    assert effects["china_infliximab_ra"].y == pytest.approx(1.1914, abs=1e-4)
    assert effects["china_infliximab_ra"].se == pytest.approx(0.3306, abs=2e-3)
    expected = pool([item.y for item in found.effects], [item.se**2 for item in found.effects], at_least_wald=True)
    assert found.pooled == expected and found.pooled.k == 3
    assert found.pooled.prediction_lower <= found.pooled.lower < found.pooled.estimate
    assert set(left(found)) == {"lipsky2000_ATTRACT", "maini1999_ATTRACT"}


def test_a_trial_counts_once_and_reviews_do_not(evidence):
    surgery = compare(evidence, "anti-tnf", "sciatica", "surgery")
    assert [item.study.key for item in surgery.effects] == ["genevay2010"]
    assert left(surgery)["genevay2012"] == "the same trial as genevay2010"
    assert left(surgery)["wang_TNFi_sciatica"].startswith("a review")
    infection = compare(evidence, "anti-tnf", "ra", "serious-infection")
    assert [item.study.key for item in infection.effects] == ["westhovens2006"]
    assert {"bongartz2006", "li2021_AE", "earlyRA_safety"} <= set(left(infection))


def test_millimetres_become_points_of_ten(evidence):
    (only,) = compare(evidence, "adalimumab", "sciatica", "pain").effects
    assert only.y == pytest.approx(-1.38) and only.ends == pytest.approx((-3.9, 1.15))


@pytest.mark.parametrize(
    ("drug", "condition", "measure", "key", "reason"),
    [
        ("infliximab", "crps", "severity", "dirckx2013", "null, no number published here"),
        ("infliximab", "crps", "pain", "huygen2004", "not randomised"),
        ("lenalidomide", "crps", "pain-response", "manning2014", "null, 16.1 % in both arms"),
        ("prednisolone", "crps", "response", "kalita2006", "no placebo or untreated arm, only piroxicam"),
        ("infliximab", "sciatica", "pain-response", "karppinen2003", "not randomised"),
        ("infliximab", "sciatica", "pain-response", "korhonen2006_FIRSTII", "percentages without the sizes"),
        ("infliximab", "sciatica", "surgery", "korhonen2005_FIRSTII", "counts without the sizes"),
        ("etanercept", "as", "reaction", "etanercept_AS_rct", "percentages that no whole numbers"),
        ("etanercept", "sciatica", "pain", "cohen2012", "means without a standard deviation"),
    ],
)
def test_what_cannot_be_pooled_says_why(drug, condition, measure, key, reason, evidence):
    found = compare(evidence, drug, condition, measure)
    assert left(found)[key].startswith(reason)
    assert key not in {item.study.key for item in found.effects}


def test_two_trials_are_pooled_without_a_prediction(study):
    add(study_of_ivig(study))
    found = compare(Evidence.load(), "ivig", "crps", "pain")
    assert found.pooled.k == 2 and "three trials" in found.caution
    table = comparison_table(found, Evidence.load())
    assert table["pooled"]["prediction_lower"] is None and table["pooled"]["estimate"] is not None


def study_of_ivig(study):
    path = study(name="ivig2026")
    path.write_text(path.read_text().replace("infliximab", "ivig"))
    return path


def test_a_comparison_printed_the_other_way_round_is_turned(study):
    path = study_of_ivig(study)
    text = path.read_text().replace('arm = "ivig"\nversus = "placebo"', 'arm = "placebo"\nversus = "ivig"')
    path.write_text(text.replace("value = -0.8", "value = 0.8").replace("[-1.9, 0.3]", "[-0.3, 1.9]"))
    add(path)
    effects = {item.study.key: item for item in compare(Evidence.load(), "ivig", "crps", "pain").effects}
    assert effects["ivig2026"].y == pytest.approx(-0.8) and effects["ivig2026"].ends == (-1.9, 0.3)


def test_means_with_their_errors_make_a_difference(study):
    path = study_of_ivig(study)
    head, _, _ = path.read_text().partition("[[outcomes]]")
    arm = '[[outcomes]]\nid = "{0}"\nmeasure = "pain"\nwhat = "pain"\narm = "{0}"\nstat = "mean"\nvalue = {1}\n'
    arm += 'unit = "VAS 0-100 mm"\nsd = {2}\nn = 20\nread = "table"\nlocator = "table 2"\n\n'
    path.write_text(head + arm.format("ivig", 40, 20) + arm.format("placebo", 52, 24))
    add(path)
    effects = {item.study.key: item for item in compare(Evidence.load(), "ivig", "crps", "pain").effects}
    assert effects["ivig2026"].y == pytest.approx(-1.2)
    assert effects["ivig2026"].se == pytest.approx(sqrt(2**2 / 20 + 2.4**2 / 20))


def test_without_a_measure_a_null_trial_is_not_passed_over(evidence):
    assert measures(evidence, "infliximab", "ra")[0] == "acr20"
    assert compare(evidence, "infliximab", "crps").left[0].study.key == "dirckx2013"
    with pytest.raises(InputError, match="no study; expected a drug and a condition"):
        compare(evidence, "clodronate", "ra")


def test_wrong_words_are_refused(evidence):
    with pytest.raises(InputError, match="controls are what it is compared with"):
        compare(evidence, "placebo", "crps", "pain")
    with pytest.raises(InputError, match=r"no study; expected an outcome that these studies report: .*pain"):
        compare(evidence, "ivig", "crps", "surgery")
    with pytest.raises(InputError, match="--condition"):
        compare(evidence, "ivig", "rsd", "pain")


def test_different_conditions_are_not_pooled_together(study):
    path = study_of_ivig(study)
    path.write_text(path.read_text().replace('["crps"]', '["sciatica"]'))
    add(path)
    found = compare(Evidence.load(), "ivig", None, "pain")
    assert len(found.effects) == 2 and found.pooled is None
    assert found.refusal == "the trials are of different conditions (crps, sciatica): give --condition"


def test_the_forest_plot_has_every_study_and_is_the_same_every_time(evidence):
    found = compare(evidence, "infliximab", "ra")
    plots = [forest(found, comparison_title(found, evidence), axis_name(found)) for _ in range(2)]
    assert plots[0] == plots[1] and plots[0].startswith("<svg")
    for item in (*found.effects, *found.left):
        assert item.study.key in plots[0]
    assert "pooled, k 3" in plots[0] and "a further trial" in plots[0]
    one = compare(evidence, "ivig", "crps", "pain")
    drawn = forest(one, comparison_title(one, evidence), axis_name(one))
    assert "null, no number" in drawn and "pooled" not in drawn


def _proportion(value: float, n: int) -> Outcome:
    return Outcome(
        id="a", measure="response", what="x", arm="a", stat="proportion", value=value, unit="percent", n=n,
        read="abstract", locator="abstract",
    )  # fmt: skip


@given(n=st.integers(1, 400), data=st.data())
def test_a_count_comes_back_from_its_printed_percentage(n, data):
    events = data.draw(st.integers(0, n))
    assert counts(_proportion(round(100 * events / n, 2), n)) == (events, n)


def test_a_percentage_of_no_whole_number_gives_no_count():
    assert counts(_proportion(20.7, 155)) is None  # etanercept_AS_rct, table 3: 32 of 155 is 20.6 %
    assert counts(_proportion(22.7, 150)) == (34, 150)
