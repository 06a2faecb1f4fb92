"""What a study added by hand is refused for: with file, line and key."""

from __future__ import annotations

import pytest

from causalgia.documents import InputError
from causalgia.evidence import Evidence, add
from causalgia.evidence.base import read
from causalgia.evidence.check import check, check_file
from causalgia.evidence.lines import line_of
from causalgia.evidence.words import FOLDER, words

# what is changed in the study of conftest.py: text, new text, then line, key and found of the refusal
BAD = {
    "unit unknown": ('unit = "NRS 0-10"', 'unit = "NRS"', 27, "outcomes.pain.unit", "'NRS'"),
    "unit of another measure": ('unit = "NRS 0-10"', 'unit = "pg/mL"', 27, "outcomes.pain.unit", "'pg/mL'"),
    "no locator": ('locator = "table 2"\n', "", 18, "outcomes.pain.locator", "nothing"),
    "empty locator": ('locator = "table 2"', 'locator = " "', 32, "outcomes.pain.locator", "an empty text"),
    "no reading": ('read = "table"\n', "", 18, "outcomes.pain.read", "nothing"),
    "reading unknown": ('read = "table"', 'read = "heard"', 31, "outcomes.pain.read", "'heard'"),
    "no citation": ('citation = "A clinician, 2026"\n', "", 1, "citation", "nothing"),
    "interval beside value": ("[-1.9, 0.3]", "[-0.7, 0.3]", 28, "outcomes.pain.interval", "[-0.7, 0.3]"),
    "interval turned": ("[-1.9, 0.3]", "[0.3, -1.9]", 28, "outcomes.pain.interval", "[0.3, -1.9]"),
    "value outside its interval": ("value = -0.8", "value = -11", 28, "outcomes.pain.interval", "[-1.9, 0.3]"),
    "interval beyond the scale": ("[-1.9, 0.3]", "[-19, 0.3]", 28, "outcomes.pain.interval", "-19"),
    "size": ("n = 40", "n = 0", 29, "outcomes.pain.n", "0"),
    "p above 1": ('p = "0.15"', 'p = "1.5"', 30, "outcomes.pain.p", "'1.5'"),
    "arm unknown": ('arm = "infliximab"', 'arm = "infiximab"', 22, "outcomes.pain.arm", "'infiximab'"),
    "drug unknown": ('drug = "infliximab"', 'drug = "infiximab"', 10, "arms.infliximab.drug", "'infiximab'"),
    "two arms of a name": ('name = "placebo"', 'name = "infliximab"', 14, "arms.infliximab.name", "'infliximab'"),
    "measure unknown": ('measure = "pain"', 'measure = "ache"', 20, "outcomes.pain.measure", "'ache'"),
    "number unknown": ('stat = "mean difference"', 'stat = "delta"', 25, "outcomes.pain.stat", "'delta'"),
    "words with a value": ('stat = "mean difference"', 'stat = "comparison"', 25, "outcomes.pain.stat", "'comparison'"),
    "key unknown": ("value = -0.8\n", "value = -0.8\nerror = 0.4\n", 27, "outcomes.pain.error", "an unknown key"),
    "condition unknown": ('["crps"]', '["rsd"]', 5, "conditions", "'rsd'"),
    "design unknown": ('type = "randomised trial"', 'type = "trial"', 3, "type", "'trial'"),
    "address": ('access = "table"', 'access = "www.example.org"', 6, "access", "'www.example.org'"),
    "not a DOI": ('access = "table"', 'access = "table"\ndoi = "papr.12078"', 7, "doi", "'papr.12078'"),
    "not a PMID": ('access = "table"', 'access = "table"\npmid = "PM1"', 7, "pmid", "'PM1'"),
    "own key": ('access = "table"', 'access = "table"\nkey = "x"', 7, "key", "an unknown key"),
    "another kind": ('kind = "study"', 'kind = "drug"', 1, "kind", "'drug'"),
}


@pytest.mark.parametrize("case", BAD, ids=list(BAD))
def test_a_bad_study_is_refused_with_file_line_and_key(case, study):
    old, new, line, key, found = BAD[case]
    path = study((old, new))
    with pytest.raises(InputError) as refusal:
        read(path, words())
    assert refusal.value.where == f"{path}, line {line}, key {key}"
    assert refusal.value.found.startswith(found)


NUMBER = 'stat = "mean difference"\nvalue = -0.8\nunit = "NRS 0-10"\ninterval = [-1.9, 0.3]\nn = 40\n'


@pytest.mark.parametrize(
    ("lines", "key", "expected"),
    [
        ('stat = "proportion"\nvalue = 104\nunit = "percent"\nn = 40\n', "value", "0 to 100 %"),
        ('stat = "proportion"\nevents = 41\nn = 40\n', "events", "a count from 0 to n = 40"),
        ('stat = "proportion"\nevents = 4\n', "n", "of how many"),
        ('stat = "proportion"\nevents = 4\nn = 40\nvalue = 30\nunit = "percent"\n', "value", "10.0, which 4 of 40 is"),
        ('stat = "mean"\nvalue = 10.5\nunit = "NRS 0-10"\n', "value", "0 to 10 NRS points"),
        ('stat = "mean"\nvalue = 4\nunit = "NRS 0-10"\nsd = 0\n', "sd", "above 0"),
        ('stat = "median"\nvalue = 4\nunit = "NRS 0-10"\nquartiles = [5, 6]\n', "quartiles", "around the value 4"),
        ('stat = "odds ratio"\nvalue = 0.8\ninterval = [-0.2, 1.4]\n', "value", "a ratio above 0"),
        ('stat = "correlation"\nvalue = 1.2\n', "value", "from -1 to 1"),
        ('stat = "mean"\nvalue = 4\n', "unit", "the unit of the value"),
        ('stat = "mean"\nunit = "NRS 0-10"\n', "value", "a value, or words"),
    ],
)
def test_impossible_numbers_are_refused(lines, key, expected, study):
    measure = "response" if "proportion" in lines else "pain"
    path = study((NUMBER, lines), ('measure = "pain"', f'measure = "{measure}"'))
    with pytest.raises(InputError) as refusal:
        read(path, words())
    assert f"key outcomes.pain.{key}" in refusal.value.where and ", line " in refusal.value.where
    assert expected in refusal.value.expected


def test_quartiles_need_not_hold_a_mean(study):
    lines = 'stat = "mean"\nvalue = 7\nunit = "NRS 0-10"\nquartiles = [5, 6]\n'
    assert read(study((NUMBER, lines)), words()).outcomes[0].value == 7


def test_lines_are_those_of_the_text():
    text = '# a\nkind = "study"\n\n[[outcomes]]\nid = "a"\nnote = """\nvalue = 1\n"""\nvalue = 2\n'
    text += '\n[[outcomes]]\nid = "b"\n'
    assert line_of(text, ("kind",)) == 2
    assert line_of(text, ("outcomes", 0, "value")) == 9
    assert line_of(text, ("outcomes", 1, "id")) == 12
    assert line_of(text, ("outcomes", 1, "value")) == 11
    assert line_of(text, ("doi",)) == 1


def test_a_good_study_is_added_and_then_found(study, own):
    path = add(study())
    assert path == own / "studies" / "clinician2026.toml"
    evidence = Evidence.load()
    assert evidence.study("clinician2026").own
    assert "clinician2026" in {found.key for found in evidence.select("infliximab", "crps", "pain")}
    assert check().problems == ()


def test_a_bad_study_is_not_added(study, own):
    with pytest.raises(InputError, match=r"key outcomes\.pain\.unit"):
        add(study(('unit = "NRS 0-10"', 'unit = "mmHg"')))
    assert not own.exists()


def test_a_name_that_is_taken_is_refused(study, own):
    with pytest.raises(InputError, match="the name 'dirckx2013'"):
        add(study(name="dirckx2013"))
    with pytest.raises(InputError, match="the name 'ternant2021'"):
        add(study(name="ternant2021"))
    add(study())
    with pytest.raises(InputError, match="--force"):
        add(study())
    changed = add(study(("value = -0.8", "value = -0.7")), force=True)
    assert "value = -0.7" in changed.read_text()
    assert [path.name for path in changed.parent.iterdir()] == ["clinician2026.toml"]


def test_only_toml_files_are_added(tmp_path):
    (tmp_path / "study.txt").write_text("")
    with pytest.raises(InputError, match=r"ends in \.toml"):
        add(tmp_path / "study.txt")


def test_new_words_come_from_ones_own_folder(study, own):
    own.mkdir()
    (own / "words.toml").write_text('kind = "words"\n[conditions]\nfibromyalgia = "fibromyalgia"\n')
    add(study(('["crps"]', '["fibromyalgia"]')))
    assert [found.key for found in Evidence.load().select(None, "fibromyalgia")] == ["clinician2026"]


def test_check_lists_every_bad_study(own, study, tmp_path):
    (own / "studies").mkdir(parents=True)
    for name, change in (("one", ("n = 40", "n = -1")), ("two", ('stat = "mean difference"', "stat = 3"))):
        study(change, name=name).rename(own / "studies" / f"{name}.toml")
    problems = check(FOLDER, own).problems
    assert len(problems) == 2 and "one.toml, line 29" in problems[0] and "two.toml, line 25" in problems[1]


def test_one_file_is_checked_by_its_kind(study, tmp_path):
    assert check_file(study())[0].startswith("study: 2 arms, 1 findings")
    assert check_file(FOLDER / "words.toml")[0].startswith("words: ")
    assert check_file(FOLDER / "claims.toml") == ["claims: 39, every link and figure leads to a finding"]
    with pytest.raises(InputError, match=r"key outcomes\.pain\.n"):
        check_file(study(("n = 40", "n = 0")))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("{dirckx2013:cytokine-change.result}", "{dirckx2013:cytokine-change.events}", "no events"),
        ("{dirckx2013:cytokine-change.result}", "{dirckx2013:tnf.result}", "no outcome 'tnf'"),
        ("{goebel2017_LIPS@IVIG.dose}", "{goebel2017_LIPS@IVIG.n2}", "no n2"),
        ('decides = ["dirckx2013:cytokine-change"]', 'decides = ["nobody2031"]', "no such key"),
    ],
)
def test_claims_that_lead_nowhere_are_refused(old, new, message, tmp_path):
    text = (FOLDER / "claims.toml").read_text()
    assert old in text
    path = tmp_path / "claims.toml"
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(InputError, match=message):
        check_file(path)


def test_a_bad_claim_is_refused_with_file_line_and_key(tmp_path):
    path = tmp_path / "claims.toml"
    path.write_text((FOLDER / "claims.toml").read_text().replace('verdict = "overstated"', 'verdict = "so so"', 1))
    line = path.read_text().splitlines().index('verdict = "so so"') + 1
    with pytest.raises(InputError, match=rf"line {line}, key claims\.2\.verdict"):
        check_file(path)
