"""The variables of a trial's tables: ADaM names, kinds and labels; what the analysis needs, and what names a row."""

from __future__ import annotations

from typing import Literal, NamedTuple

import polars as pl

Kind = Literal["text", "integer", "number", "date"]
DTYPES: dict[Kind, type[pl.DataType]] = {
    "text": pl.String,
    "integer": pl.Int64,
    "number": pl.Float64,
    "date": pl.Date,
}


class Variable(NamedTuple):
    """What a column holds, and its label (at most 40 characters, as SAS transport has it)."""

    kind: Kind
    label: str


# Names mean the same in every table.
VARIABLES: dict[str, Variable] = {
    "STUDYID": Variable("text", "Study Identifier"),
    "USUBJID": Variable("text", "Unique Subject Identifier"),
    "SUBJID": Variable("text", "Subject Identifier for the Study"),
    "SITEID": Variable("text", "Study Site Identifier"),
    "ARM": Variable("text", "Description of Planned Arm"),
    "TRT01P": Variable("text", "Planned Treatment for Period 01"),
    "TRT01A": Variable("text", "Actual Treatment for Period 01"),
    "AGE": Variable("integer", "Age"),
    "SEX": Variable("text", "Sex"),
    "WEIGHTBL": Variable("number", "Weight at Baseline (kg)"),
    "DURDAYS": Variable("integer", "Days since Injury"),
    "DURSTR": Variable("text", "Stratum of Duration"),
    "GATEFL": Variable("text", "Gate Passed Flag"),
    "ITTFL": Variable("text", "Intent-To-Treat Population Flag"),
    "SAFFL": Variable("text", "Safety Population Flag"),
    "RANDNO": Variable("integer", "Order of Randomisation"),
    "SCRNDAY": Variable("integer", "Day of Screening from Start of Trial"),
    "EOSSTT": Variable("text", "End of Study Status"),
    "DCSREAS": Variable("text", "Reason for Discontinuation from Study"),
    "INJDT": Variable("date", "Date of Injury"),
    "RFICDT": Variable("date", "Date of Informed Consent"),
    "RANDDT": Variable("date", "Date of Randomisation"),
    "TRTSDT": Variable("date", "Date of First Exposure to Treatment"),
    "TRTEDT": Variable("date", "Date of Last Exposure to Treatment"),
    "EOSDT": Variable("date", "End of Study Date"),
    "PARAMCD": Variable("text", "Parameter Code"),
    "PARAM": Variable("text", "Parameter"),
    "AVAL": Variable("number", "Analysis Value"),
    "AVALC": Variable("text", "Analysis Value (C)"),
    "AVALU": Variable("text", "Analysis Value Unit"),
    "BASE": Variable("number", "Baseline Value"),
    "CHG": Variable("number", "Change from Baseline"),
    "AVISIT": Variable("text", "Analysis Visit"),
    "AVISITN": Variable("number", "Analysis Visit (N), Weeks"),
    "ADT": Variable("date", "Analysis Date"),
    "ADY": Variable("integer", "Analysis Relative Day"),
    "ABLFL": Variable("text", "Baseline Record Flag"),
    "LLOQ": Variable("number", "Lower Limit of Quantification"),
    "BLQFL": Variable("text", "Below Limit of Quantification Flag"),
    "LBSPEC": Variable("text", "Specimen Type"),
    "LBMETHOD": Variable("text", "Method of Test or Examination"),
    "SIDE": Variable("text", "Side of the Body"),
    "PLATE": Variable("text", "Assay Plate"),
    "REPNO": Variable("integer", "Replicate Number"),
    "SCRNFL": Variable("text", "Screening Record Flag"),
    "DTYPE": Variable("text", "Derivation Type"),
    "AESEQ": Variable("integer", "Adverse Event Sequence Number"),
    "AETERM": Variable("text", "Reported Term for the Adverse Event"),
    "AESTDY": Variable("integer", "Study Day of Start of Adverse Event"),
    "AEENDY": Variable("integer", "Study Day of End of Adverse Event"),
    "AESER": Variable("text", "Serious Event"),
    "AESEV": Variable("text", "Severity/Intensity"),
    "AEREL": Variable("text", "Causality"),
    "TRTEMFL": Variable("text", "Treatment Emergent Analysis Flag"),
    "ASTDT": Variable("date", "Analysis Start Date"),
    "AENDT": Variable("date", "Analysis End Date"),
    "EXSEQ": Variable("integer", "Exposure Sequence Number"),
    "EXTRT": Variable("text", "Name of Treatment"),
    "EXDOSE": Variable("number", "Dose"),
    "EXDOSU": Variable("text", "Dose Units"),
    "EXROUTE": Variable("text", "Route of Administration"),
    "EXSTDY": Variable("integer", "Study Day of Start of Treatment"),
    "EXENDY": Variable("integer", "Study Day of End of Treatment"),
    "ICE": Variable("text", "Intercurrent Event"),
    "ICEDY": Variable("integer", "Study Day of Intercurrent Event"),
    "ICEDT": Variable("date", "Date of Intercurrent Event"),
}

TITLES = {
    "adsl": "Subject-Level Analysis",
    "adlb": "Laboratory Analysis",
    "adqs": "Scores and Diary Analysis",
    "adae": "Adverse Events Analysis",
    "adex": "Exposure Analysis",
    "adice": "Intercurrent Events",
}

# Columns that the analysis reads. The other tables may be absent.
REQUIRED: dict[str, tuple[str, ...]] = {
    "adsl": ("USUBJID", "ARM", "ITTFL", "RANDNO", "DURDAYS", "GATEFL"),
    "adlb": ("USUBJID", "PARAMCD", "AVAL", "AVISITN", "SIDE", "LLOQ", "BLQFL"),
    "adqs": ("USUBJID", "PARAMCD", "AVAL", "AVISITN", "SIDE"),
    "adae": ("USUBJID", "AETERM"),
}

# What names a row, where all of it is given.
KEYS: dict[str, tuple[str, ...]] = {
    "adsl": ("USUBJID",),
    "adlb": ("USUBJID", "PARAMCD", "AVISITN", "SIDE", "REPNO"),
    "adqs": ("USUBJID", "PARAMCD", "AVISITN", "SIDE", "REPNO"),
    "adae": ("USUBJID", "AESEQ"),
    "adex": ("USUBJID", "EXSEQ"),
}
