"""Figures of one simulated trial: its answers, how many improved by how much, and the harm that was simulated."""

from __future__ import annotations

from typing import Any

from causalgia.report.dots import Group, Row, Scene, dots
from causalgia.report.svg import (
    CONTROL,
    CONTROLS,
    DASHES,
    MUTED,
    SMALL,
    SOLID,
    STRUCTURAL,
    TREATED,
    WIDE,
    Drawing,
    Look,
    axis_name,
    darker,
    finish,
    panel,
    spread,
)
from causalgia.report.words import Scale, fixed, number, percent, scale_of

Json = dict[str, Any]
DRUG = Look(TREATED, "o", SOLID, TREATED)
OTHER = Look(CONTROL, "o", DASHES[0], CONTROL)


def answers(table: Json) -> list[Drawing]:
    """The simulated trial's answers: ratios on one panel, differences on the other."""
    given, protocol = table["trial"]["answers"], table["protocol"]
    endpoint = protocol["endpoints"]["relieved"]
    scale = scale_of(endpoint)
    better = "left" if endpoint["better"] == "lower" else "right"
    kind = "change" if protocol["single_arm"] else "difference"
    data: list[list[Any]] = [["question", "arm", "estimate", "lower", "upper", "p"]]
    ratios = [_asked("raised", given, RATIO, "two sides", data), _asked("lowered", given, RATIO, protocol, data)]
    others = [
        _asked(name, given, scale, protocol, data) for name in ("relieved", "mediated", "spared") if name in given
    ]
    panels = []
    for key, groups, scene in (
        ("ratios", ratios, Scene("ratio of TNF (1 = no difference)", zero=1.0, reach=(0.5, 2.0), log=True)),
        ("differences", others, Scene(f"{kind} ({scale.unit}; better to the {better})")),
    ):
        texts = "; ".join(f"{group.title} {row.label}: {row.text}" for group in groups for row in group.rows)
        panels.append(dots(f"forest-{key}", groups, scene, f"Estimates of one simulated trial, {scene.axis}: {texts}."))
    parts = []
    for key, unit, text in (("lowered", RATIO, "ratio of TNF"), ("relieved", scale, f"clinical {kind}")):
        known = given[key]["estimate"] is not None
        parts.append(f"{text} {_interval(given[key], unit)}" if known else f"{text} not estimated")
    versus = (
        protocol["treatment"] if protocol["single_arm"] else f"{protocol['treatment']} against {protocol['control']}"
    )
    title = f"{_upper_first(versus)} in this one trial: {', '.join(parts)}"
    note = f"Points are estimates, lines {100 * (1 - protocol['alpha']):g} % confidence intervals."
    return [Drawing("answers", title, panels, [], note, data=data)]


RATIO = Scale(1, "", 2)


def _asked(name: str, given: Json, scale: Scale, arms: Any, data: list[list[Any]]) -> Group:
    """The answers to one question: a row for the primary comparison and for every other arm that has one."""
    label = {"spared": "groups", "mediated": "through TNF"}.get(
        name, arms if isinstance(arms, str) else arms["treatment"]
    )
    rows = {label: given[name]}
    rows |= {key.removeprefix(f"{name} "): answer for key, answer in given.items() if key.startswith(f"{name} ")}
    lines = []
    for label, answer in rows.items():
        values = [answer[key] for key in ("estimate", "lower", "upper")]
        data.append([name, label, *values, answer["p"]])
        ends = [None if value is None else scale.factor * value for value in values]
        lines.append(Row(label, ends[0], ends[1], ends[2], DRUG, _interval(answer, scale)))
    return Group(f"{_upper_first(name)}?", lines)


def _interval(answer: Json, scale: Scale) -> str:
    if answer["estimate"] is None:
        return "no estimate"
    middle, *ends = (
        None if answer[key] is None else fixed(scale.factor * answer[key], scale.decimals)
        for key in ("estimate", "lower", "upper")
    )
    return f"{middle}" if None in ends else f"{middle} ({ends[0]} to {ends[1]})"


def curve(table: Json) -> list[Drawing]:
    """Cumulative share of each arm that improved by at least so much."""
    found, protocol = table["trial"].get("curve"), table["protocol"]
    if not found or min(arm["randomised"] for arm in table["trial"]["flow"]["arms"].values()) < 2:
        return []
    figure, axes = panel(WIDE, 330, (42, 160, 48, 32))
    axes.set_xlim(0, 100)
    axes.set_ylim(0, 1.02)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1.0], ["0", "25", "50", "75", "100"])
    style = arm_looks(protocol)
    beside = axes.get_yaxis_transform()
    at = found["percent"].index(30)
    lines = {arm: shares for arm, shares in found["arms"].items() if None not in shares}
    starts = spread([shares[0] for shares in lines.values()], 0.075)
    for (arm, shares), place in zip(lines.items(), starts, strict=True):
        look = style[arm]
        axes.step(found["percent"], shares, where="post", color=look.colour, linestyle=look.dash, linewidth=2)
        axes.plot([1.02], [place], transform=beside, clip_on=False, color=look.colour, marker=look.marker, markersize=7)
        axes.plot([30], [shares[at]], color=look.colour, marker=look.marker, markersize=7)
        axes.text(1.05, place, arm, transform=beside, va="center", color=look.ink, size=SMALL)
    axes.axvline(30, color=MUTED, linewidth=0.8, linestyle=(0, (2, 2)), zorder=0)
    endpoint = protocol["endpoints"]["relieved"]
    axes.set_xlabel(f"at least so many % better by {protocol['unit']} {number(endpoint['week'])}")
    axis_name(axes, "% of the arm")
    named = [arm for arm in (protocol["treatment"], protocol["control"]) if arm in lines]
    shares = " and ".join(f"{percent(lines[arm][at])} on {arm}" for arm in named)
    title = f"In this one trial {shares} improved by 30 % or more"
    note = f"{endpoint['measure']}; whoever left or has no value counts as not improved. One draw of the trial."
    rows = zip(found["percent"], *lines.values(), strict=True)
    data: list[list[Any]] = [["at least % better", *lines], *(list(row) for row in rows)]
    return [Drawing("responders", title, [finish(figure, "responders", f"{title}.")], [], note, data=data)]


def arm_looks(protocol: Json) -> dict[str, Look]:
    """The look of every arm: blue for the primary one, grey and dashed for control, no two alike."""
    looks, others = {}, 0
    for arm in protocol["arms"]:
        if arm == protocol["treatment"]:
            looks[arm] = DRUG
        elif arm == protocol["control"]:
            looks[arm] = OTHER
        else:
            colour = (*STRUCTURAL, *CONTROLS)[others % 8]
            looks[arm] = Look(colour, "sD^v<"[others % 5], SOLID, darker(colour))
            others += 1
    return looks


def harm(table: Json) -> list[Drawing]:
    """Adverse events on drug and control, as the simulation draws them, each with its source."""
    events, protocol = table["harm"]["events"], table["protocol"]
    if not events:
        return []
    arms = [protocol["treatment"], protocol["control"]]
    groups, data = [], [["event", *(f"% on {arm}" for arm in arms), *(f"source, {arm}" for arm in arms)]]
    for row in events:
        serious = " (serious)" if row["serious"] and "serious" not in row["term"] else ""
        lines = [
            _event(arm, row[kind], look, row[f"source_{kind}"])
            for arm, kind, look in zip(arms, ("drug", "control"), (DRUG, OTHER), strict=True)
        ]
        groups.append(Group(row["term"] + serious, lines))
        sources = [row["source_drug"], row["source_control"]]
        data.append([row["term"], 100 * row["drug"], 100 * row["control"], *sources])
    most = max(events, key=lambda row: row["drug"] - row["control"])
    title = (
        f"{_upper_first(most['term'])} differs most: {number(100 * most['drug'], 2)} % on {arms[0]}, "
        f"{number(100 * most['control'], 2)} % {'' if protocol['single_arm'] else 'on '}{arms[1]}"
    )
    scene = Scene("% of people with the event in one course")
    note = "Rates that the simulation draws from, not results of it; the sources stand in full in the table below."
    return [Drawing("events", title, [dots("events", groups, scene, f"{title}.")], [], note, data=data)]


def _event(arm: str, rate: float, look: Look, source: str) -> Row:
    key = source.split(",")[0].split(":")[0].split(";")[0]
    return Row(arm, 100 * rate, None, None, look, f"{number(100 * rate, 2)} %, {key}"[:34], hollow=look is OTHER)


def _upper_first(text: str) -> str:
    return text[:1].upper() + text[1:]
