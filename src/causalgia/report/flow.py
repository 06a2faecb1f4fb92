"""The flow of one trial, from those screened to those who completed, for any number of arms, as inline SVG."""

from __future__ import annotations

from html import escape
from typing import Any

from causalgia.report.svg import Drawing

Json = dict[str, Any]
WIDTH, LINE, GAP = 460, 19, 18
DAYS_A_MONTH = 365.25 / 12
LONGEST = 40


def flow(table: Json) -> Drawing:
    """People screened, kept out, taken in, and by arm who completed and who left."""
    counts, protocol = table["trial"]["flow"], table["protocol"]
    verb = "treated" if protocol["single_arm"] else "randomised"
    completed = sum(arm["completed"] for arm in counts["arms"].values())
    months = f"{counts['days'] / DAYS_A_MONTH:.0f}"
    title = (
        f"{counts['screened']} screened, {counts['randomised']} {verb}, {completed} completed, "
        f"over {months} month{'' if months == '1' else 's'} of screening"
    )
    data: list[list[Any]] = [["arm", verb, "completed", "left early"]]
    for arm, n in counts["arms"].items():
        data.append([arm, n["randomised"], n["completed"], n["randomised"] - n["completed"]])
    assumed = any(row["where"] == "protocol" and row["name"] == "dropout" for row in table["assumed"])
    note = "How many leave early is assumed." if assumed else ""
    return Drawing("flow", title, [_svg(table, verb, title)], [], note, data=data)


def _svg(table: Json, verb: str, title: str) -> str:
    counts, protocol = table["trial"]["flow"], table["protocol"]
    parts: list[str] = []
    y, trunk = 2, 30
    y = _box(parts, (8, y, 200), f"Screened: {counts['screened']}", [])
    if protocol["gate"]:
        full = ["below the gate, or places for low TNF full"] if protocol["low_share"] else ["below the gate"]
        top = y + GAP
        parts.append(f'<path d="M{trunk} {top + 20}H70"/>')
        below = _box(parts, (70, top, 382), f"Not {verb}: {counts['gated_out']}", full, "out")
        parts.append(f'<path d="M{trunk} {y}V{below + GAP}"/>')
        y = below + GAP
    else:
        parts.append(f'<path d="M{trunk} {y}V{y + GAP}"/>')
        y += GAP
    low = [f"of these below the gate: {counts['low']}"] if protocol["low_share"] else []
    y = _box(parts, (8, y, 250), f"{verb.capitalize()}: {counts['randomised']}", low)
    start = y
    for arm, n in counts["arms"].items():
        top, middle = y + GAP, y + GAP + 24
        parts.append(f'<path d="M{trunk} {start}V{middle}H70"/>')
        ended = f"completed: {n['completed']}, left early: {n['randomised'] - n['completed']}"
        name = arm if len(arm) <= LONGEST else arm[: LONGEST - 1] + "…"
        y = _box(parts, (70, top, 382), f"{name}: {n['randomised']}", [ended], "arm")
    arms = "; ".join(
        f"{arm}: {n['randomised']} {verb}, {n['completed']} completed" for arm, n in counts["arms"].items()
    )
    name = escape(f"Flow of the simulated trial: {title}; {arms}.", quote=True)
    return (
        f'<svg class="panel flow" role="img" viewBox="0 0 {WIDTH} {y + 4}" aria-label="{name}">'
        f"<title>{escape(title)}</title>{''.join(parts)}</svg>"
    )


def _box(parts: list[str], place: tuple[int, int, int], head: str, lines: list[str], kind: str = "") -> int:
    """A box at (x, y) of a width; gives the y of its lower edge."""
    x, y, width = place
    height = 32 + LINE * len(lines)
    parts.append(f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="6" class="box {kind}"/>')
    parts.append(f'<text x="{x + 14}" y="{y + 21}" class="strong">{escape(head)}</text>')
    for k, line in enumerate(lines):
        parts.append(f'<text x="{x + 14}" y="{y + 21 + LINE * (k + 1)}">{escape(line)}</text>')
    return y + height
