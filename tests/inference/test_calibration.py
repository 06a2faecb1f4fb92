"""The sampler against closed forms, the emulator's honesty, resuming, recovery, and what the shipped posterior is."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from scipy import stats

import causalgia as cg
from causalgia.documents import Drug, InputError
from causalgia.documents.targets import Targets
from causalgia.engine import solve
from causalgia.inference.calibration.bank import CHUNK, simulate_points
from causalgia.inference.calibration.calibrate import Fitted, Found, density_on
from causalgia.inference.calibration.check import recover
from causalgia.inference.calibration.emulator import Emulator
from causalgia.inference.calibration.hmc import log_evidence, sample
from causalgia.inference.calibration.likelihood import Likelihood, off_scale
from causalgia.inference.calibration.simulator import Simulator
from causalgia.inference.calibration.space import Axis, Space
from causalgia.population.posterior import DRAWS, FOLDER, Posterior

WORLDS = ("absolute", "relative", "recovery")


def gaussian(matrix, noise, y):
    """The density of prior N(0, I) and y ~ N(A x, S), with its gradient."""
    inverse, size = np.linalg.inv(noise), sum(matrix.shape)
    constant = 0.5 * (size * np.log(2 * np.pi) + np.linalg.slogdet(noise)[1])

    def density(x):
        residual = y - x @ matrix.T
        weighted = residual @ inverse
        value = -0.5 * ((residual * weighted).sum(axis=-1) + (x**2).sum(axis=-1)) - constant
        return value, weighted @ matrix - x

    return density


def test_sampler_against_a_gaussian_posterior_and_evidence():
    """Mean, covariance and evidence in closed form, two data sets at once; bands of 4 standard errors."""
    rng = np.random.default_rng(5)
    matrix, noise = rng.normal(size=(4, 3)), np.diag([0.3, 0.5, 0.2, 0.8]) ** 2
    y = rng.normal(size=(2, 1, 4))
    precision = np.eye(3) + matrix.T @ np.linalg.solve(noise, matrix)
    covariance = np.linalg.inv(precision)
    means = y[:, 0] @ np.linalg.solve(noise, matrix) @ covariance
    density = gaussian(matrix, noise, y)
    start, root = rng.standard_normal((2, 40, 3)), np.linalg.cholesky(covariance)
    found = sample(density, start, root, rng, warmup=100, draws=100)
    assert (found.rhat < 1.02).all() and 0.7 < found.accepted < 0.95
    chains = found.points.mean(axis=2)
    error = chains.std(axis=1, ddof=1) / np.sqrt(40)
    assert (np.abs(chains.mean(axis=1) - means) < 4 * error).all()
    for k in range(2):
        squares = np.array([np.cov(each.T).ravel() for each in found.points[k]])
        off = np.abs(squares.mean(axis=0) - covariance.ravel())
        assert (off < 4 * squares.std(axis=0, ddof=1) / np.sqrt(40) + 0.01 * np.abs(covariance).max()).all()
        draws, values = found.points[k].reshape(-1, 3), found.values[k].ravel()
        log_z, spread = log_evidence(gaussian(matrix, noise, y[k, 0]), draws, values, rng)
        assert log_z == pytest.approx(
            stats.multivariate_normal(np.zeros(4), noise + matrix @ matrix.T).logpdf(y[k, 0]), abs=0.02
        )
        assert spread < 0.02


def test_sampler_finds_a_bent_ridge_and_its_evidence_and_keeps_what_is_not_seen():
    """Data on x0 + x1² alone, of sixty axes: against the integral on a grid; the others stay standard normal."""
    axis = np.linspace(-6, 6, 1201)
    a, b = np.meshgrid(axis, axis, indexing="ij")
    grid = np.exp(-0.5 * (a**2 + b**2) - 0.5 * ((2 - a - b**2) / 0.3) ** 2) / (2 * np.pi)
    area = (axis[1] - axis[0]) ** 2
    size = 60

    def density(x):
        off = (2 - x[..., 0] - x[..., 1] ** 2) / 0.3**2
        gradient = -x
        gradient[..., 0] += off
        gradient[..., 1] += 2 * off * x[..., 1]
        value = -0.5 * (x**2).sum(axis=-1) - 0.5 * 0.3**2 * off**2 - 0.5 * size * np.log(2 * np.pi)
        return value, gradient

    rng = np.random.default_rng(1)
    found = sample(density, rng.standard_normal((1, 60, size)), np.eye(size), rng, warmup=150, draws=150)
    x = found.points[0]
    assert x[..., 0].mean() == pytest.approx((a * grid).sum() / grid.sum(), abs=4 * x[..., 0].mean(1).std() / 60**0.5)
    assert (x[..., 1] ** 2).mean() == pytest.approx((b**2 * grid).sum() / grid.sum(), rel=0.05)
    order = rng.permutation(x[..., 0].size)
    log_z, _ = log_evidence(density, x.reshape(-1, size)[order], found.values.ravel()[order], rng)
    assert log_z == pytest.approx(np.log(grid.sum() * area), abs=0.15)
    others = x[..., 2:]
    assert abs((others**2).mean() - 1) < 0.02
    assert abs((np.abs(others) < 1.96).mean() - 0.95) < 0.005


def test_chains_that_disagree_are_told():
    def two_wells(x):
        value = np.logaddexp(-0.5 * ((x - 8) ** 2).sum(axis=-1), -0.5 * ((x + 8) ** 2).sum(axis=-1))
        return value, 8 * np.tanh(8 * x) - x

    rng = np.random.default_rng(2)
    found = sample(two_wells, rng.standard_normal((1, 8, 1)), np.eye(1), rng, warmup=30, draws=40)
    assert found.rhat[0, 0] > 2


def test_emulator_is_exact_on_quadratics_and_honest_on_others():
    rng = np.random.default_rng(2)
    z, fresh = rng.normal(size=(150, 4)), rng.normal(size=(2000, 4))

    def truth(x):
        square = 1 + x[:, 0] - 2 * x[:, 1] * x[:, 2] + x[:, 3] ** 2
        return np.column_stack([square, np.sin(2 * x[:, 0]) + 0.3 * x[:, 1], x[:, 0] ** 3])

    noisy = truth(z) + np.array([0, 0, 0.5]) * rng.normal(size=(150, 3))
    noisy[:5, 1] = np.nan
    emulator = Emulator.fit(z, noisy, [np.arange(4)] * 3, np.ones(150, bool))
    error = emulator.predict(fresh) - truth(fresh) - np.array([0, 0, 0.5]) * rng.normal(size=(2000, 3))
    real = (error**2).mean(axis=0)
    assert real[0] < 1e-2 * truth(fresh)[:, 0].var()
    assert (emulator.variance[1:] > 0.5 * real[1:]).all() and (emulator.variance[1:] < 2 * real[1:]).all()
    assert emulator.processes and any(len(form.targets) for form in emulator.quadratics)


def test_slopes_of_the_likelihood_on_the_emulator():
    """Against differences, for quadratics, processes, numbers, and readings in and out of an interval."""
    rng = np.random.default_rng(6)
    z = rng.normal(size=(120, 4))
    y = np.column_stack(
        [z[:, 0] - z[:, 1] * z[:, 2], np.sin(2 * z[:, 0]), np.cos(z[:, 3]) + z[:, 1], z[:, 2] + z[:, 3]]
    )
    axes = [np.array([0, 1, 2]), np.array([0]), np.arange(4), np.array([2, 3])]
    emulator = Emulator.fit(z, y, axes, np.ones(120, bool))
    space = Space("world", tuple(Axis(f"toy.{k}", 1.0, 0.25, 4.0, "1") for k in range(4)))
    for within in (True, False):
        likelihood = Likelihood(
            np.array([0, 1, 3]), np.array([0.3, 0.1, -0.2]), np.diag([0.2, 0.3, 0.2]), np.array([2]),
            np.array([[-0.4, 0.9]]), np.array([0.3]), np.array([within]),
        )  # fmt: skip
        density = density_on(space, likelihood, emulator, np.full(4, 0.01), 0.7)
        x, h = rng.normal(size=(5, 2, 4)), 3e-3
        slopes = density(x)[1]
        found = np.stack([(density(x + h * e)[0] - density(x - h * e)[0]) / (2 * h) for e in np.eye(4)], axis=-1)
        np.testing.assert_allclose(slopes, found, rtol=2e-3, atol=5e-3)


class Toy:
    """Statistics a, b and a b of two parameters; it can be told to fail after so many points."""

    def __init__(self, stop=10**9):
        self.left, self.seen = stop, 0

    def statistics(self, values):
        if self.left == 0:
            raise KeyboardInterrupt
        self.left, self.seen = self.left - 1, self.seen + 1
        a, b = values["toy.a"], values["toy.b"]
        return np.array([np.log(a), np.log(b), np.log(a * b) + 0.3 * np.log(a) ** 2])


SPACE = Space("world", (Axis("toy.a", 1.0, 0.25, 4.0, "1"), Axis("toy.b", 2.0, 1.0, 8.0, "1")))


def test_an_interrupted_run_goes_on_where_it_was(tmp_path):
    points = SPACE.from_uniform(np.random.default_rng(3).random((5 * CHUNK + 3, 2)))
    whole = simulate_points(Toy(), SPACE, points, "key", folder=tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        simulate_points(Toy(2 * CHUNK + 1), SPACE, points, "key", folder=tmp_path / "part")
    toy, told = Toy(), []
    again = simulate_points(toy, SPACE, points, "key", folder=tmp_path / "part", progress=told.append)
    assert again.tobytes() == whole.tobytes()
    assert toy.seen == 3 * CHUNK + 3
    assert told[0] == 2 * CHUNK and sum(told) == len(points)


def test_what_is_kept_belongs_to_its_key_world_and_ranges(tmp_path):
    points = SPACE.from_uniform(np.random.default_rng(3).random((4, 2)))
    simulate_points(Toy(), SPACE, points, "key", folder=tmp_path)
    other = Space("another", SPACE.axes)
    for space, key in ((SPACE, "other"), (other, "key"), (Space("world", SPACE.axes[::-1]), "key")):
        toy = Toy()
        simulate_points(toy, space, points, key, folder=tmp_path)
        assert toy.seen == 4
    for file in tmp_path.glob("*.npy"):
        file.write_bytes(file.read_bytes()[:-8])
    toy = Toy()
    simulate_points(toy, SPACE, points, "key", folder=tmp_path)
    assert toy.seen == 4


def test_known_parameters_are_recovered_from_synthetic_data():
    """Ranks of the truth are uniform, central intervals cover it, and what is not seen stays as wide as its prior."""
    axes = (*SPACE.axes, Axis("toy.unseen", 1.0, 0.5, 2.0, "1"))
    space = Space("world", axes)
    points = space.from_uniform(np.random.default_rng(4).random((150, 3)))
    toy = Toy()
    found = np.array([toy.statistics({n: float(v) for n, v in space.values(z).items()}) for z in points])
    likelihood = Likelihood(
        np.arange(3), np.zeros(3), np.diag([0.2, 0.3, 0.2]) ** 2, np.empty(0, int), np.empty((0, 2)), np.empty(0),
        np.empty(0, bool),
    )  # fmt: skip
    emulator = Emulator.fit(points, found, [np.arange(2)] * 3, np.ones(150, bool))
    sampled = Found(points, 0.0, 0.0, 1.0)
    fitted = Fitted(
        space, (), likelihood, np.zeros(3), (points, found), emulator, sampled, points, found, np.zeros(150)
    )
    recovery = recover(fitted, 150, 80)
    assert recovery.ranks.shape == (80, 3)
    assert (recovery.p > 1e-3).all()
    assert recovery.uniform > 1e-3 and recovery.rhat.max() < 1.2
    for level, share in recovery.coverage.items():
        assert (np.abs(share - level) < 4 * np.sqrt(level * (1 - level) / 80) + 0.01).all(), level
    assert (recovery.narrowed[:2] < 0.6).all()
    assert 0.9 < recovery.narrowed[2] < 1.1


@pytest.fixture(scope="module")
def posterior():
    return Posterior.load("crps")


def test_a_posterior_of_another_hash_is_refused(tmp_path, posterior):
    for suffix in ("csv", "toml"):
        shutil.copy(FOLDER / f"crps.{suffix}", tmp_path)
    assert Posterior.load("crps", tmp_path).digest == posterior.digest
    path = tmp_path / "crps.csv"
    path.write_text(path.read_text().replace("relative", "absolute", 1))
    with pytest.raises(InputError, match=r"the recorded .* of crps.toml"):
        Posterior.load("crps", tmp_path)
    path.unlink()
    with pytest.raises(InputError, match="no such file"):
        Posterior.load("crps", tmp_path)


def test_every_draw_lies_within_its_prior_range(posterior):
    assert sum(posterior.weights.values()) == pytest.approx(1, abs=1e-3)
    for world, columns in posterior.draws.items():
        axes = Space.of(Targets.load("targets"), world).axes
        assert set(columns) == {axis.key for axis in axes}
        for axis in axes:
            assert len(columns[axis.key]) >= DRAWS
            assert (columns[axis.key] >= axis.low * (1 - 1e-5) - 1e-9).all(), axis.key
            assert (columns[axis.key] <= axis.high * (1 + 1e-5) + 1e-9).all(), axis.key


@pytest.mark.parametrize("name", ["crps-acute", "crps-stroke"])
def test_a_person_lives_with_one_draw(posterior, name):
    """Number modulo 20, in every world; a condition's own numbers go before those it is based on."""
    population = cg.Population.load(name)
    for world in WORLDS:
        values = population.draw(world, 100, seed=3)
        np.testing.assert_allclose(values["kX"], np.resize(posterior.simulated(world)["crps-acute.kX"], 100))
        scope = "crps-stroke" if name == "crps-stroke" else "crps-acute"
        z = np.log(values["tau"] / np.resize(posterior.simulated(world)[f"{scope}.tau"], 100))
        first = cg.Population.load(name, prior=True)
        np.testing.assert_allclose(
            np.median(z),
            np.median(np.log(first.draw(world, 100, seed=3)["tau"] / first.entries["tau"].typical)),
            atol=0.15,
        )
        drug = Drug.load("infliximab")
        assert set(population.typical_of_drug(world, drug)) == {"Kss", "kint", "CL"}
        assert "CL" not in population.typical_of_drug(world, drug.with_kinetics("hanzel2021"))
    weights = population.sample(20, seed=1)["prior"].values
    np.testing.assert_allclose(weights, [posterior.weights[world] for world in WORLDS])


def test_the_prior_is_still_there():
    first = cg.Population.load("crps-acute", prior=True)
    assert first.posterior is None
    assert (first.draw("relative", 5, seed=1)["kX"] == first.entries["kX"].typical).all()


def test_arthritis_uses_the_drug_of_crps_and_not_its_pain(posterior):
    population = cg.Population.load("rheumatoid-arthritis")
    names = set(population.typical["relative"])
    assert {"S_auto", "aT", "wT", "bT", "PEF", "kdeg"} == names


@pytest.fixture(scope="module", params=WORLDS)
def predicted(request, posterior):
    """Medians over draws of what every target's statistic is: over those that people live with in acute CRPS."""
    targets, columns = Targets.load("targets"), posterior.simulated(request.param)
    result = {}
    for condition, count in (("crps-acute", DRAWS), ("rheumatoid-arthritis", 4), ("crohn", 4)):
        mine = [target for target in targets.targets if target.condition == condition]
        simulator = Simulator.of(targets.model_copy(update={"targets": mine}), request.param)
        found = [simulator.statistics({n: float(v[k]) for n, v in columns.items()}) for k in range(count)]
        for target, x in zip(mine, np.median(found, axis=0), strict=True):
            result[target.name] = (target, float(off_scale(np.array(x), target.scale)))
    return result


def test_the_posterior_reads_blister_fluid_as_published(predicted):
    for name, (target, value) in predicted.items():
        if name.startswith("blister"):
            assert abs(np.log(value / target.value)) < np.log(1.5), (name, value)


@pytest.mark.parametrize("world", WORLDS)
def test_hardly_anybody_hurts_without_an_injury(posterior, world):
    population = cg.Population.load("crps-acute")
    values = population.draw(world, 800, seed=8)
    parameters = population.matrix(values, population.entries_of(world), 800)
    kernel = population.kernel
    rest = solve(kernel, population.of_kernel(kernel, parameters, {}), np.zeros(1), outputs=("NRS",), start=-400.0)
    assert (rest.values < 1).mean() > 0.97
    assert (rest.values < 3).mean() > 0.99


def test_tnf_does_not_follow_pain(predicted):
    assert abs(predicted["TNF and pain"][1]) < 0.24


def test_recovery_is_within_published_intervals(predicted):
    """95 % Wilson intervals of 16/35, 14.75/59 and 38/59; demos2009 prints 9 to 22 %."""
    for name, low, high in (
        ("criteria at 3 months", 0.30, 0.62),
        ("Budapest criteria at 12 months", 0.16, 0.37),
        ("IASP criteria at 12 months", 0.52, 0.75),
        ("progressive at 5.8 years", 0.09, 0.22),
    ):
        assert low < predicted[name][1] < high, (name, predicted[name][1])


def test_the_drug_works_where_tnf_is_the_disease(predicted):
    shares = {name: value for name, (_, value) in predicted.items()}
    for dose in ("3", "10"):
        assert shares[f"arthritis, {dose}-mg-every-8-weeks"] > shares["arthritis, placebo"] + 0.15
    for dose in ("5", "10", "20"):
        assert shares[f"Crohn, {dose}-mg"] > shares["Crohn, placebo"] + 0.3
