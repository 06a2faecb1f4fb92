"""Names of the files that the verbs write."""

from __future__ import annotations

OUTCOMES, PROTOCOL, TRIAL, TRUTH = "outcomes.nc", "protocol.toml", "trial", "truth.parquet"
ANALYSIS, ANSWERS, ESTIMANDS = "analysis", "answers.json", "estimands.json"
CHARACTERISTICS, RESULTS, REPORT = "characteristics.nc", "results.json", "report.html"
MADE = {OUTCOMES, PROTOCOL, TRIAL, TRUTH, ANALYSIS, CHARACTERISTICS, RESULTS, REPORT}

TABLES = ("answers", "companions", "counts", "guards", "visits", "responders", "correlation", "gradient", "courses")
FIGURES = (
    "forest-ratios",
    "forest-differences",
    "responders",
    "course-lowered",
    "course-relieved",
    "sensitivity",
    "gradient",
)
ANALYSED = {ANSWERS, ESTIMANDS, *(f"{name}.csv" for name in TABLES), *(f"{name}.svg" for name in FIGURES)}
TRIAL_TABLES = ("adsl", "adlb", "adqs", "adae", "adex", "adice")
EXPORTED = {
    ESTIMANDS,
    *(f"{name}{suffix}" for name in TRIAL_TABLES for suffix in (".csv", ".parquet", ".json", ".xpt")),
}
DICTIONARY, EVENTS, DESIGNATIONS, MAPPING = "dictionary.csv", "events.csv", "designations.csv", "mapping.toml"
REDCAP = {DICTIONARY, EVENTS, DESIGNATIONS, MAPPING}
TRAJECTORIES = "trajectories.csv"
