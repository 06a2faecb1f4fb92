"""Names of the files that the verbs write."""

from __future__ import annotations

OUTCOMES, PROTOCOL, TRIAL, TRUTH = "outcomes.nc", "protocol.toml", "trial", "truth.parquet"
ANSWERS, CHARACTERISTICS, RESULTS, REPORT = "answers.json", "characteristics.nc", "results.json", "report.html"
MADE = {OUTCOMES, PROTOCOL, TRIAL, TRUTH, ANSWERS, CHARACTERISTICS, RESULTS, REPORT}
