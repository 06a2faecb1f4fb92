from __future__ import annotations

import numpy as np
import pytest

from causalgia.documents import Instrument
from causalgia.measurement import readings
from causalgia.measurement.readings import Noise, read, visit_value

N = 40_000
RNG = np.random.default_rng(17)
Z = [RNG.standard_normal(N) for _ in range(3)]


def observed(name, latent, replicates=2):
    instrument = Instrument.load(name)
    noise = Noise(Z[0], np.stack(Z[1 : 1 + replicates]))
    return instrument, read(
        instrument, np.broadcast_to(readings.to_scale(instrument, np.asarray(latent, float)), (N,)), noise
    )


def test_log_readings_have_the_stated_errors():
    """Within a day replicates share the day's error: their correlation is its share of the variance."""
    instrument, seen = observed("blister-tnf", 31.0)
    day, replicate = instrument.day_error.value, instrument.replicate_error.value
    se = 4 / np.sqrt(N)
    assert seen.value[0].mean() == pytest.approx(np.log(31), abs=se * np.hypot(day, replicate))
    assert seen.value[0].std() == pytest.approx(np.hypot(day, replicate), rel=se)
    assert np.corrcoef(seen.value)[0, 1] == pytest.approx(day**2 / (day**2 + replicate**2), abs=se)
    assert visit_value(instrument, seen).value.std() == pytest.approx(np.sqrt(day**2 + replicate**2 / 2), rel=se)


def test_only_readings_below_the_limit_are_below_it():
    instrument, seen = observed("blister-tnf", 2.0)
    limit = np.log(readings.lloq(instrument))
    np.testing.assert_array_equal(seen.below, seen.value < limit)
    assert seen.below.mean() == pytest.approx(0.5, abs=0.02)


def test_a_visit_with_a_reading_below_the_limit_is_an_upper_limit():
    instrument, seen = observed("blister-tnf", 2.5)
    value = visit_value(instrument, seen)
    limit = np.log(readings.lloq(instrument))
    some = seen.below.any(axis=0)
    np.testing.assert_array_equal(value.below, some)
    assert (value.value[some] >= seen.value.mean(axis=0)[some]).all()
    np.testing.assert_allclose(value.value[~some], seen.value.mean(axis=0)[~some])
    both = seen.below.all(axis=0)
    np.testing.assert_allclose(value.value[both], limit)


def test_linear_readings_are_clipped_and_rounded():
    _, seen = observed("iss", 30.0, replicates=1)
    assert set(np.unique(seen.value % 1)) == {0.0}
    assert seen.value.min() >= 5 and seen.value.max() <= 50
    _, low = observed("nrs", 0.1, replicates=1)
    assert low.value.min() == 0
    assert not low.below.any()
    free = Instrument.load("nrs")
    assert visit_value(free, low).value.std() < free.day_error.value


def test_what_an_assay_reads_is_declared(write):
    """reads = 0 counts free target, 1 total, and a share between."""
    outputs = {"TNF": np.array([2.0, 5.0]), "bound": np.array([10.0, 0.0])}
    free = Instrument.load("blister-tnf")
    np.testing.assert_array_equal(readings.signal(free, "affected", outputs), [2, 5])
    for share, expected in ((1, [12, 5]), (0.3, [5, 5])):
        text = f"reads = {{ value = {share},"
        total = Instrument.load(
            write("instruments", "blister-tnf", ("reads = { value = 0,", text), file=f"reads{share}")
        )
        np.testing.assert_allclose(readings.signal(total, "affected", outputs), expected)
        assert readings.names(total, "affected") == {"TNF", "bound"}


def test_limit_is_converted_to_the_instruments_unit(write):
    path = write(
        "instruments", "blister-tnf", ('lloq = { value = 2, unit = "pg/mL"', 'lloq = { value = 0.002, unit = "ng/mL"')
    )
    assert readings.lloq(Instrument.load(path)) == pytest.approx(2, rel=1e-12)
    assert readings.lloq(Instrument.load("nrs")) == 0


@pytest.mark.parametrize("name", ["blister-tnf", "nrs"])
def test_scales_are_inverse(name):
    instrument = Instrument.load(name)
    x = np.array([0.5, 3.0, 9.0])
    np.testing.assert_allclose(readings.from_scale(instrument, readings.to_scale(instrument, x)), x, rtol=1e-15)
