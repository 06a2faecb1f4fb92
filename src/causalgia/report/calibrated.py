"""Figures of a calibration and of its test, each a file of SVG that is the same for the same numbers."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from causalgia.inference.calibration.calibrate import Fitted
from causalgia.inference.calibration.check import Recovery
from causalgia.inference.calibration.scoring import Score
from causalgia.report.svg import INK, MARKERS, MUTED, RULE, STRUCTURAL, STYLE, TREATED

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = 6
INCH = 1.0
_STYLE = STYLE | {"font.size": 8.0, "figure.facecolor": "white", "axes.facecolor": "white", "axes.titlesize": 8.0}


def prior_to_posterior(fits: Mapping[str, Fitted]) -> bytes:
    """One panel a parameter: the prior in grey, each world's posterior as a line, in the document's units."""
    names = list(dict.fromkeys(name for fit in fits.values() for name in fit.space.names))
    rows = -(-len(names) // COLUMNS)
    with _style():
        figure, axes = _figure(rows, COLUMNS, 1.7 * COLUMNS, 1.25 * rows)
        for k, axis in enumerate(axes.flat):
            if k >= len(names):
                axis.axis("off")
                continue
            axis.set_title(names[k].replace(".", "\n"), color=INK, pad=2)
            axis.set_yticks([])
            for w, fit in enumerate(fits.values()):
                if names[k] in fit.space.names:
                    _densities(axis, fit, fit.space.names.index(names[k]), STRUCTURAL[w])
        _legend(figure, [("prior", RULE), *zip(fits, STRUCTURAL, strict=False)])
        return _svg(figure, "prior-to-posterior")


def _densities(axis: Any, fit: Fitted, j: int, colour: str) -> None:
    """Histogram lines over quantiles of the prior: its own is level, so what differs from level was learned."""
    edges = np.linspace(0, 1, 11)
    heights = np.histogram(fit.space.uniform(fit.sampled.points[:, j]), edges, density=True)[0]
    ends = fit.space.axes[j].values(fit.space.from_uniform(np.array([0.05, 0.95])))
    axis.axhline(1, color=RULE, linewidth=4, zorder=0)
    axis.stairs(heights, edges, color=colour, linewidth=1.2)
    axis.set_ylim(0, 3)
    axis.set_xticks([0.05, 0.95], [f"{x:.3g}" for x in ends])


def checks_figure(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """One line a target: how many standard errors the published number lies from what each world predicts."""
    names = list(dict.fromkeys(row["target"] for row in rows))
    worlds = list(dict.fromkeys(row["world"] for row in rows))
    with _style():
        figure, axes = _figure(1, 1, 7.5, 0.2 * len(names) + 0.8)
        axis = axes[0, 0]
        axis.axvspan(-2, 2, color=RULE, alpha=0.4, linewidth=0)
        axis.axvline(0, color=MUTED, linewidth=0.8)
        for w, world in enumerate(worlds):
            z = {row["target"]: row["z"] for row in rows if row["world"] == world}
            axis.plot([z[name] for name in names], range(len(names)), MARKERS[w], color=STRUCTURAL[w], markersize=4)
        axis.set_yticks(range(len(names)), names)
        axis.set_ylim(len(names) - 0.5, -0.5)
        axis.set_xlabel("published minus posterior predictive, in standard errors (intervals: how far outside)")
        _legend(figure, list(zip(worlds, STRUCTURAL, strict=False)))
        return _svg(figure, "checks")


def ranks_figure(found: Mapping[str, Recovery]) -> bytes:
    """Histograms of all ranks of simulation-based calibration, a panel a world; level where the posterior is right."""
    with _style():
        figure, axes = _figure(1, len(found), 2.6 * len(found), 2.0)
        for axis, (world, recovery) in zip(axes.flat, found.items(), strict=True):
            axis.hist(recovery.ranks.ravel(), 20, (0, 1), color=TREATED, density=True)
            axis.axhline(1, color=INK, linewidth=0.8)
            axis.set_title(f"{world}: {len(recovery.ranks)} data sets", color=INK)
            axis.set_xlabel("rank of the truth")
        return _svg(figure, "ranks")


def scores_figure(scores: Sequence[Score]) -> bytes:
    """Gain in log score over no effect, a line a published result."""
    labels = [f"{score.result.protocol}: {score.result.found}" for score in scores]
    with _style():
        figure, axes = _figure(1, 1, 8.5, 0.32 * len(scores) + 0.8)
        axis = axes[0, 0]
        axis.axvline(0, color=MUTED, linewidth=0.8)
        gains = [score.gain for score in scores]
        axis.hlines(range(len(scores)), 0, gains, color=TREATED, linewidth=2)
        axis.plot(gains, range(len(scores)), "o", color=TREATED)
        axis.set_yticks(range(len(scores)), labels)
        axis.set_ylim(len(scores) - 0.5, -0.5)
        axis.set_xlabel("log score above that of no effect; right of 0 the model predicts better")
        return _svg(figure, "scores")


def _style() -> Any:
    import matplotlib

    return matplotlib.rc_context(_STYLE)


def _figure(rows: int, columns: int, width: float, height: float) -> tuple[Figure, np.ndarray]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width * INCH, height * INCH), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


def _legend(figure: Figure, labels: Sequence[tuple[str, str]]) -> None:
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=colour, linewidth=2, label=name) for name, colour in labels]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False)


def _svg(figure: Figure, key: str) -> bytes:
    import matplotlib

    file = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": key, "svg.fonttype": "none"}):
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return file.getvalue()
