from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from engine_pages import page
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import expm

from causalgia.documents.errors import InputError
from causalgia.engine import Events, load_kernel
from causalgia.engine.event_solution import trajectories
from causalgia.engine.event_table import EventTable, read_event_table
from causalgia.engine.events import check_events
from causalgia.engine.layout import NON_FINITE

ORAL = page("D' = -ka*D; A' = ka*D - k*A; C := A/V; D = 0; A = 0; ka = 1.1; k = 0.2; V = 5;")
TWO_COMPARTMENTS_ORAL = page(
    "D' = -ka*D; A' = ka*D - (k10 + k12)*A + k21*B; B' = k12*A - k21*B; D = 0; A = 0; B = 0;"
    "ka = 0.9; k10 = 0.3; k12 = 0.5; k21 = 0.25;"
)
STATES = ("D", "A")
KA, K = 1.1, 0.2
TOLERANCE = {"rtol": 1e-9, "floor": 1e-6}


@pytest.fixture
def read(tmp_path: Path):
    """Reads a table from text."""

    def table(text: str, states: tuple[str, ...] = STATES) -> EventTable:
        path = tmp_path / "table.csv"
        path.write_text(text)
        return read_event_table(path, states)

    return table


def bateman(t: np.ndarray) -> np.ndarray:
    """Central amount at t after 1 in the depot."""
    s = np.maximum(t, 0)
    return KA / (KA - K) * (np.exp(-K * s) - np.exp(-KA * s))


def infused(t: np.ndarray, long: float) -> np.ndarray:
    """Central amount at t during and after an infusion at rate 1 from 0 to `long`."""
    during, after = np.clip(t, 0, long), np.maximum(t - long, 0)
    return (1 - np.exp(-K * during)) / K * np.exp(-K * after)


def central(table: EventTable, **options) -> np.ndarray:
    return trajectories(load_kernel(ORAL), {}, table, outputs=["A"], **TOLERANCE, **options)["A"].to_numpy()


def observed(times) -> str:
    return "".join(f"1,{t},0,.,.,.,.,.\n" for t in times)


HEADER = "ID,TIME,EVID,AMT,RATE,II,ADDL,CMT\n"


# Closed forms


def test_an_oral_dose_is_the_bateman_function(read):
    t = np.arange(0.5, 24.5, 0.5)
    table = read(HEADER + "1,0.5,1,100,0,0,0,D\n" + observed(t))
    np.testing.assert_allclose(central(table), 100 * bateman(t - 0.5), rtol=1e-6, atol=1e-7)


def test_two_compartments_with_absorption_and_infusion(read):
    matrix = np.array([[-0.9, 0, 0], [0.9, -0.8, 0.25], [0, 0.5, -0.25]])
    t = np.linspace(1, 12, 12)
    table = read(
        HEADER + "1,0,1,10,0,0,0,1\n" + observed([t[0]]) + "1,1,1,6,4,0,0,A\n" + observed(t[1:]), ("D", "A", "B")
    )
    frame = trajectories(load_kernel(TWO_COMPARTMENTS_ORAL), {}, table, **TOLERANCE)
    driven = np.zeros((4, 4))  # the infusion, of 1.5 from time 1 on, as a fourth state that stays 1
    driven[:3, :3], driven[1, 3] = matrix, 4.0
    exact = []
    for now in t:
        oral = expm(matrix * now) @ [10, 0, 0]
        during = (expm(driven * min(now - 1, 1.5)) @ [0, 0, 0, 1])[:3]
        exact.append(oral + expm(matrix * max(now - 2.5, 0)) @ during)
    np.testing.assert_allclose(frame.select("D", "A", "B").to_numpy(), exact, rtol=1e-6, atol=1e-7)


def test_repeated_doses_superpose(read):
    t = np.arange(0, 60, 1.5)
    table = read(HEADER + "1,0,1,10,0,8,4,D\n" + observed(t))
    np.testing.assert_allclose(central(table), sum(10 * bateman(t - 8 * k) for k in range(5)), rtol=1e-6, atol=1e-7)


def test_overlapping_infusions_add(read):
    t = np.arange(0, 20, 0.75)
    table = read(HEADER + "1,0,1,30,5,4,2,A\n" + observed(t))
    exact = sum(5 * infused(t - 4 * k, 6) for k in range(3))
    np.testing.assert_allclose(central(table), exact, rtol=1e-6, atol=1e-7)


def test_bioavailability_scales_a_bolus_and_the_duration_of_an_infusion(read):
    t = np.arange(0, 20, 0.75)
    table = read(HEADER + "1,0,1,10,0,0,0,D\n1,0,1,30,5,0,0,A\n" + observed(t))
    exact = 7 * bateman(t) + 5 * infused(t, 3)
    np.testing.assert_allclose(central(table, bioavailability={"D": 0.7, "2": [0.5]}), exact, rtol=1e-6, atol=1e-7)
    np.testing.assert_array_equal(central(table, bioavailability={"D": 0, "A": 0}), 0.0)


def test_lag_is_per_compartment_and_subject(read):
    t = np.arange(0, 20, 0.75)
    rows = "1,0,1,10,0,6,2,D\n1,0,1,30,5,0,0,A\n" + observed(t)
    table = read(HEADER + rows + rows.replace("1,", "2,", 1).replace("\n1,", "\n2,"))
    values = central(table, lag={"D": [0.5, 2.25]}).reshape(2, -1)
    for lag, got in zip((0.5, 2.25), values, strict=True):
        exact = sum(10 * bateman(t - lag - 6 * k) for k in range(3)) + 5 * infused(t, 6)
        np.testing.assert_allclose(got, exact, rtol=1e-6, atol=1e-7)


def test_far_from_zero(read):
    t = 1e6 + np.arange(0, 40, 0.5)
    table = read(HEADER + "1,0,1,10,0,0,0,D\n1,999999.9,1,20,0,0.1,300,D\n" + observed(t))
    assert np.nanmax(table.events().time) == 1e6 + 29.9
    exact = sum(20 * bateman(np.round(t - 999999.9 - 0.1 * k, 9)) for k in range(301))
    np.testing.assert_allclose(central(table)[1:], exact[1:], rtol=1e-6, atol=1e-6)


# Ties, decimals, order


def test_record_order_decides_what_an_observation_at_a_dose_sees(read):
    rows = "1,0,0,.,.,.,.,.\n1,0,1,5,0,0,0,A\n1,0,0,.,.,.,.,.\n1,0,1,7,0,0,0,A\n1,0,0,.,.,.,.,.\n1,0,0,.,.,.,.,.\n"
    np.testing.assert_array_equal(central(read(HEADER + rows)), [0.0, 5.0, 12.0, 12.0])


def test_an_additional_dose_is_seen_at_its_time_as_in_nonmem(read):
    # metrumresearchgroup/mrgsolve, issue 424: "NONMEM has ADDL doses prior to observation"
    table = read(HEADER + "1,0,1,5,0,0.1,9,A\n1,0.3,0,.,.,.,.,.\n1,0.7,0,.,.,.,.,.\n")
    given = [sum(5 * np.exp(-K * (t - 0.1 * k)) for k in range(n)) for t, n in ((0.3, 4), (0.7, 8))]
    np.testing.assert_allclose(central(table), given, rtol=1e-6)


def test_additional_doses_stand_at_the_doubles_nearest_to_their_decimals(read):
    table = read(HEADER + "1,0.1,1,5,0,0.1,99,A\n1,12,0,.,.,.,.,.\n")
    assert table.events().time.ravel().tolist() == [float(f"{k}e-1") for k in range(1, 101)]
    assert table.events(lag={"A": 2.3}).time.ravel()[:97].tolist() == [float(f"{k}e-1") for k in range(24, 121)]


def test_a_dose_after_the_last_observation_is_without_effect(read):
    before = HEADER + "1,0,1,5,0,0,0,A\n1,3,0,.,.,.,.,.\n"
    late = "1,4,1,5,0,1,3,A\n1,5,1,5,2,0,0,A\n"
    np.testing.assert_array_equal(central(read(before)), central(read(before + late)))


def test_a_subject_starts_at_its_first_row(read):
    table = read(HEADER + "1,7.5,2,.,.,.,.,.\n1,8,1,10,0,0,0,A\n1,9,0,.,.,.,.,.\n2,-3,0,.,.,.,.,.\n")
    assert table.start.tolist() == [7.5, -3.0]
    np.testing.assert_allclose(central(table), [10 * np.exp(-K), 0.0], rtol=1e-6)


@st.composite
def tables(draw) -> list[tuple[Decimal, str, int, Decimal, int, str]]:
    """Rows (time, amount, rate, interval, additional, compartment) in order of time; amount "." observes."""
    rows = []
    for time in sorted(draw(st.lists(st.integers(0, 20), min_size=1, max_size=8))):
        if draw(st.booleans()):
            rate, additional = draw(st.sampled_from([0, 0, 3])), draw(st.integers(0, 5))
            interval = Decimal(draw(st.integers(1, 30))) / 10
            compartment = "A" if rate else draw(st.sampled_from(STATES))
            rows.append((Decimal(time) / 10, str(draw(st.integers(1, 9))), rate, interval, additional, compartment))
        else:
            rows.append((Decimal(time) / 10, ".", 0, Decimal(0), 0, "."))
    return [*rows, (Decimal("4.2"), ".", 0, Decimal(0), 0, ".")]


def written(rows) -> str:
    return HEADER + "".join(
        f"1,{time},{int(amount != '.')},{amount},{rate},{interval},{additional},{cmt}\n"
        for time, amount, rate, interval, additional, cmt in rows
    )


def entered(since: float, amount: float, rate: int, compartment: str) -> float:
    """Central amount `since` after one dose."""
    if rate:
        return rate * infused(since, amount / rate)
    return amount * (bateman(since) if compartment == "D" else np.exp(-K * since))


def superposed(rows, lag: Decimal) -> list[float]:
    """What each observation sees: the sum over doses that arrive before it, or at its time from a row above."""
    seen = []
    for i, (now, look, *_) in enumerate(rows):
        if look != ".":
            continue
        total = 0.0
        for j, (time, amount, rate, interval, additional, cmt) in enumerate(rows):
            for k in range(additional + 1 if amount != "." else 0):
                since = now - time - k * interval - lag
                if since > 0 or (since == 0 and j < i):
                    total += entered(float(since), float(amount), rate, cmt)
        seen.append(total)
    return seen


@settings(max_examples=60, deadline=None)
@given(rows=tables(), lag=st.sampled_from(["0", "0.1", "0.7"]))
def test_any_table_is_the_superposition_of_its_doses(tmp_path_factory, rows, lag):
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_text(written(rows))
    values = central(read_event_table(path, STATES), lag={"D": float(lag), "A": float(lag)})
    np.testing.assert_allclose(values, superposed(rows, Decimal(lag)), rtol=1e-6, atol=1e-7)


@settings(max_examples=60, deadline=None)
@given(rows=tables())
def test_any_table_is_its_own_doses_written_out(tmp_path_factory, rows):
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_text(written(rows))
    short = read_event_table(path, STATES)
    out = [
        (row[0] + k * row[3], k == 0, i, (row[0] + k * row[3], *row[1:3], Decimal(0), 0, row[5]))
        for i, row in enumerate(rows)
        for k in range(row[4] + 1)
    ]  # at one time, further doses stand above what the table has there
    path.write_text(written([row for *_, row in sorted(out, key=lambda entry: entry[:3])]))
    long = read_event_table(path, STATES)
    np.testing.assert_array_equal(short.times, long.times)
    np.testing.assert_array_equal(np.sort(short.events().time), np.sort(long.events().time))
    a, b = (trajectories(load_kernel(ORAL), {}, table, outputs=STATES) for table in (short, long))
    np.testing.assert_allclose(a.to_numpy(), b.to_numpy(), rtol=1e-9, atol=1e-12)


def test_a_tie_that_nobody_decides_is_refused():
    with pytest.raises(InputError, match="events, seen_from: found nan"):
        check_events(Events([0.0], ["A"], [1.0], seen_from=np.nan), STATES, np.zeros(1))


# Tables as they are


REAL = """C simulated, for the tests
# ID and visits as in the source
id,Time,amt,dv,mdv,cmt,WT,NOTE
1,0,100,.,1,1,70.5,"first, oral"
1,0.1,.,0.3,0,2,.,
C1,0.2,.,0.3,0,2,70.5,withdrawn
1,12,NA,.,1,2,70.5,

#1,13,.,.,0,2,70.5,
1,24.3,0,1.5,0,2,70.5,
20,1e1,.,2,0,2,55,
"""


def test_a_table_from_practice(read):
    table = read(REAL)
    assert table.ids == ("1", "20")
    np.testing.assert_array_equal(table.times, [[0.1, 24.3], [10.0, np.nan]])
    assert table.observations.tolist() == [1, 3, 4]
    assert [table.rows.lines[i] for i in table.observations] == [5, 10, 11]
    np.testing.assert_array_equal(table.events().time, [[0.0], [np.nan]])
    np.testing.assert_array_equal(table.covariate("WT"), [70.5, 55.0])
    frame = trajectories(load_kernel(ORAL), {}, table, **TOLERANCE)
    assert frame.columns == ["ID", "TIME", "D", "A", "C", "STATUS"]
    assert frame["ID"].to_list() == [1, 1, 20]
    assert frame["TIME"].to_list() == [0.1, 24.3, 10.0]
    assert frame["STATUS"].to_list() == [0, 0, 0]
    np.testing.assert_allclose(frame["A"], [*(100 * bateman(np.array([0.1, 24.3]))), 0.0], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_other_delimiters_and_line_ends(read, delimiter):
    text = HEADER + "1,0,1,5,0,0,0,A\n" + observed([0, 1])
    same = read(text.replace(",", delimiter).replace("\n", "\r\n"))
    assert same.times.tolist() == read(text).times.tolist()
    assert same.doses == read(text).doses


def test_a_flag_column_comments_rows_out(read):
    assert read("C,ID,TIME\n.,S1,0\nC,S1,1\n.,S2,2\n").times.tolist() == [[0.0], [2.0]]


def test_a_frame_is_read_like_its_file(read, tmp_path):
    text = HEADER + "1,0.1,1,5,0,0.1,9,A\n" + observed([0.3, 0.7]) + "2,0.25,1,5,2.5,0,0,2\n2,4.7,0,.,.,.,.,.\n"
    file = read(text)
    frame = pl.read_csv(tmp_path / "table.csv", null_values=".")
    table = read_event_table(frame, STATES)
    assert table.doses == file.doses
    np.testing.assert_array_equal(table.times, file.times)
    np.testing.assert_array_equal(central(table), central(file))


def test_user_times_come_back_bit_for_bit(read):
    times = ["0.1", "1.10", "3.3000000000000003", "12345.678901234567", "1e6", "1000000.1"]
    frame = trajectories(load_kernel(ORAL), {}, read("ID,TIME\n" + "".join(f"S7,{t}\n" for t in times)))
    assert [t.hex() for t in frame["TIME"]] == [float(t).hex() for t in times]
    assert frame["ID"].to_list() == ["S7"] * 6


def test_one_state_needs_no_compartment(read):
    assert read("ID,TIME,AMT\n1,0,5\n1,1,0\n", ("A",)).doses[0].state == 0


def test_subjects_are_independent_of_their_neighbours(read):
    first = "1,0,1,5,0,0,0,A\n" + observed([0.5, 9])
    second = "2,1,1,5,1,2,3,A\n2,1,0,.,.,.,.,.\n2,9,0,.,.,.,.,.\n2,11,0,.,.,.,.,.\n"
    both, alone = central(read(HEADER + first + second)), central(read(HEADER + second))
    np.testing.assert_array_equal(both[2:], alone)


# Parameters


def test_parameters_come_from_the_caller_then_the_table_then_the_model(read):
    table = read("ID,TIME,AMT,CMT,k\n1,0,10,A,0.1\n1,2,.,.,0.1\n2,0,10,A,0.4\n2,2,.,.,0.4\n")
    frame = trajectories(load_kernel(ORAL), {"V": [2.0, 4.0]}, table, **TOLERANCE)
    np.testing.assert_allclose(frame["A"], 10 * np.exp([-0.2, -0.8]), rtol=1e-6)
    np.testing.assert_allclose(frame["C"], frame["A"].to_numpy() / [2.0, 4.0], rtol=1e-14)


BAD_PARAMETERS = {
    "unknown": ({"CL": 1.0}, "", "parameters: found 'CL'; expected some of"),
    "twice": ({"k": 1.0}, "k", "k as a column and from the caller"),
    "shape": ({"k": [1.0, 2.0, 3.0]}, "", r"parameters, k: found shape \(3,\)"),
    "only the case differs": ({}, "KA", "a column KA"),
}


@pytest.mark.parametrize("name", BAD_PARAMETERS)
def test_bad_parameters_are_refused(read, name):
    parameters, column, message = BAD_PARAMETERS[name]
    table = read(f"ID,TIME,{column or 'X'}\n1,0,1\n2,0,1\n")
    with pytest.raises(InputError, match=message):
        trajectories(load_kernel(ORAL), parameters, table)


def test_an_output_that_would_hide_a_column_is_refused(read):
    table = read("ID,TIME\n1,0\n", ("ID",))
    with pytest.raises(InputError, match="outputs: found ID"):
        trajectories(load_kernel(page("ID' = -r*ID; ID = 1; r = 1;")), {}, table)


def test_the_table_of_another_model_is_refused(read):
    with pytest.raises(InputError, match="states A, D"):
        trajectories(load_kernel(ORAL), {}, read("ID,TIME\n1,0\n", ("A", "D")))


def test_a_failure_is_a_status(read):
    frame = trajectories(load_kernel(ORAL), {"k": [np.inf, 0.2]}, read("ID,TIME\n1,0\n1,1\n2,0\n"))
    assert frame["STATUS"].to_list()[2] == 0 and set(frame["STATUS"][:2]) == {NON_FINITE}
    assert np.isnan(frame["A"][1]) and frame["A"][2] == 0.0


BAD_SCALES = {
    "unknown compartment": ({"lag": {"Z": 1.0}}, "lag: found 'Z'"),
    "negative": ({"lag": {"D": -1.0}}, "lag, D: found a value that is negative"),
    "not finite": ({"bioavailability": {"D": [np.nan]}}, "bioavailability, D: .*not finite"),
    "shape": ({"bioavailability": {"1": [1.0, 1.0]}}, r"bioavailability, 1: found shape \(2,\)"),
}


@pytest.mark.parametrize("name", BAD_SCALES)
def test_bad_bioavailability_and_lag_are_refused(read, name):
    options, message = BAD_SCALES[name]
    with pytest.raises(InputError, match=message):
        read(HEADER + "1,0,1,5,0,0,0,A\n").events(**options)


BAD_COVARIATES = {
    "changes": ("WT", "line 3, column WT: found 71 after 70 in subject 1.*not supported yet"),
    "empty": ("AGE", "column AGE: found no value in subject 2"),
    "lacks": ("SEX", "a column SEX"),
    "text": ("NOTE", "line 2, column NOTE: found 'x'"),
}


@pytest.mark.parametrize("name", BAD_COVARIATES)
def test_bad_covariates_are_refused(read, name):
    column, message = BAD_COVARIATES[name]
    table = read("ID,TIME,WT,AGE,NOTE\n1,0,70,40,x\n1,1,71,40,x\n2,0,70,.,x\n")
    with pytest.raises(InputError, match=message):
        table.covariate(column)


# Refusals


def dose(**cells) -> str:
    row = {"ID": 1, "TIME": 2, "EVID": 1, "AMT": 5, "RATE": 0, "II": 0, "ADDL": 0, "SS": 0, "CMT": "A"} | cells
    return f"{','.join(row)}\n1,0,0,0,0,0,0,0,0\n{','.join(map(str, row.values()))}\n"


BAD = {
    "unknown EVID": (dose(EVID=7), "line 3, column EVID: found 7; expected 0, 1 or 2"),
    "broken EVID": (dose(EVID=1.5), "line 3, column EVID: found 1.5"),
    "reset": (dose(EVID=3, AMT=0), "line 3, column EVID: found 3; .*a reset is not supported yet"),
    "reset and dose": (dose(EVID=4), "line 3, column EVID: found 4; .*not supported yet"),
    "steady state": (dose(SS=1, II=12), "line 3, column SS: found 1; .*steady state is not supported yet"),
    "negative amount": (dose(AMT=-5), "line 3, column AMT: found -5"),
    "no amount": (dose(AMT="."), "line 3, column AMT: found nothing"),
    "modelled rate": (dose(RATE=-1), "line 3, column RATE: found -1; .*not supported yet"),
    "modelled duration": (dose(RATE=-2), "line 3, column RATE: found -2; .*not supported yet"),
    "negative rate": (dose(RATE=-3), "line 3, column RATE: found -3; expected a RATE of 0 or more"),
    "rate of nothing": (dose(RATE=3, AMT=0), "line 3, column RATE: found 3; expected no RATE without an AMT"),
    "negative interval": (dose(II=-1), "line 3, column II: found -1"),
    "additional without interval": (dose(ADDL=2), "line 3, column II: found 0; .*ADDL"),
    "negative additional": (dose(ADDL=-2, II=1), "line 3, column ADDL: found -2"),
    "broken additional": (dose(ADDL=1.5, II=1), "line 3, column ADDL: found 1.5"),
    "dose on an observation": (dose(EVID=0), "line 3, column AMT: found 5 on a row that is no dose"),
    "rate on an observation": (dose(EVID=0, AMT=0, RATE=2), "line 3, column RATE: found 2 on a row"),
    "dose on another event": (dose(EVID=2), "line 3, column AMT: found 5"),
    "compartment off": (dose(EVID=2, AMT=0, CMT=-1), "line 3, column CMT: found -1; .*switching one off"),
    "unknown compartment": (dose(CMT="B"), "line 3, column CMT: found 'B'; expected one of D, A"),
    "compartment 3 of 2": (dose(CMT=3), "line 3, column CMT: found '3'.*1 to 2"),
    "compartment 1.5": (dose(CMT=1.5), "line 3, column CMT: found '1.5'"),
    "no compartment": (dose(CMT="."), "line 3, column CMT: found no compartment"),
    "time goes back": (dose(TIME=-1), "line 3, column TIME: found -1 after 0"),
    "no time": (dose(TIME="."), "line 3, column TIME: found nothing"),
    "clock time": (dose(TIME="8:30"), "line 3, column TIME: found '8:30'; expected a number"),
    "infinite time": (dose(TIME="inf"), "line 3, column TIME: found 'inf'"),
    "too large": (dose(AMT="1e999"), "line 3, column AMT: found '1e999'"),
    "not a number": (dose(AMT="5 mg"), "line 3, column AMT: found '5 mg'"),
    "underscore": (dose(AMT="1_0"), "line 3, column AMT: found '1_0'"),
    "no ID": (dose(ID="."), "line 3, column ID: found nothing"),
    "rate without amount, no EVID": ("ID,TIME,AMT,RATE\n1,0,.,5\n", "line 2, column RATE: found 5 on a row"),
    "negative amount, no EVID": ("ID,TIME,AMT\n1,0,-5\n", "line 2, column AMT: found -5"),
    "no TIME column": ("ID,AMT\n1,0\n", "table.csv: found columns ID, AMT; expected a column TIME"),
    "no ID column": ("TIME,AMT\n1,0\n", "expected a column ID"),
    "column twice": ("ID,TIME,time\n1,0,0\n", "two columns TIME"),
    "subject in two places": ("ID,TIME\n1,0\n2,0\n1,1\n", "line 4, column ID: found subject 1 again"),
    "short row": ("ID,TIME,AMT\n1,0\n", "line 2: found 2 cells; expected 3"),
    "open quote": ('ID,TIME\n1,"0\n', "line 2: found unexpected end of data"),
    "no rows": ("# nothing\nID,TIME\n", "no rows"),
    "nothing at all": ("\n", "no header"),
    "subject or comment": ("ID,TIME\nA1,0\nC1,0\n", "line 3: found 'C1,0'; expected no comment that looks like a row"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_tables_are_refused(read, name):
    text, message = BAD[name]
    with pytest.raises(InputError, match=message):
        read(text)


def test_a_bad_cell_of_a_frame_is_named_by_row():
    with pytest.raises(InputError, match="event table, row 2, column TIME: found nothing"):
        read_event_table(pl.DataFrame({"ID": [1, 1], "TIME": [0.0, None]}), STATES)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InputError, match="no readable file"):
        read_event_table(tmp_path / "none.csv", STATES)
