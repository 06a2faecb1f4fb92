"""What is wrong with a trial's tables: everything at once, by table, row and column, each with what to do."""

from __future__ import annotations

from collections.abc import Iterator
from math import isclose

import polars as pl

from causalgia.analysis.days import day_problems
from causalgia.analysis.problems import CORRECT, Problem, Sheet, TablesError, once_a_cell
from causalgia.analysis.variables import DTYPES, KEYS, REQUIRED, VARIABLES, Kind
from causalgia.documents import InputError, Instrument, Protocol
from causalgia.documents.protocol import Measurement
from causalgia.documents.units import factor

Tables = dict[str, pl.DataFrame]
HALF_LAST_DECIMAL = 5e-5  # values are written with four decimals, and so may stand this much below their limit
EXPECTED: dict[Kind, str] = {
    "text": "text",
    "integer": "a whole number, or nothing where it is missing",
    "number": "a number, or nothing where it is missing",
    "date": "a date such as 2026-03-14, or nothing where it is missing",
}


def check_tables(protocol: Protocol, tables: Tables) -> None:
    """Raises TablesError with everything in which the tables cannot be read as meant.

    Rows are numbered as in a CSV file, whose first line is the header.
    """
    names = ", ".join(REQUIRED)
    problems = [
        Problem(name, None, "", "no such table", f"the tables {names}", "Add it.")
        for name in REQUIRED
        if name not in tables
    ]
    sheets = {}
    for name, table in tables.items():
        sheets[name], found = typed(Sheet.of(name, table), exact=True)
        problems += found
    for name, sheet in sheets.items():
        problems += absent_columns(name, sheet)
    raise_problems([*problems, *find_problems(protocol, sheets)])


def raise_problems(problems: list[Problem]) -> None:
    """Raises TablesError where there are problems."""
    if problems:
        raise TablesError(once_a_cell(problems))


def absent_columns(name: str, sheet: Sheet) -> list[Problem]:
    """A problem for every column of a table that the analysis needs and the sheet lacks."""
    needed = REQUIRED.get(name, ())
    alike = {column.strip().upper(): repr(column) for column in sheet.table.columns}
    expected = f"the columns {', '.join(needed)}"
    return [
        sheet.problem(column, alike.get(column, "nothing"), expected, "Add the column.")
        for column in needed
        if not sheet.has(column)
    ]


def typed(sheet: Sheet, *, exact: bool = False) -> tuple[Sheet, list[Problem]]:
    """The table with its known columns in their types, and the cells that are not of them, which become missing.

    Text is read as numbers and dates where it holds nothing else; with `exact`, for tables in memory, it is refused.
    """
    problems, columns = [], []
    for series in sheet.table.iter_columns():
        if series.name not in VARIABLES:
            columns.append(series)
            continue
        kind = VARIABLES[series.name].kind
        if exact and series.dtype != pl.Null and (series.dtype == pl.String) != (kind == "text"):
            expected = f"a column of {DTYPES[kind]}"
            problems.append(sheet.problem(series.name, f"a column of {series.dtype}", expected, "Cast it."))
        value, wrong = _cast(series, kind)
        problems += [sheet.at(i, series.name, EXPECTED[kind]) for i in wrong.fill_null(True).arg_true()]
        columns.append(value)
    return sheet._replace(table=pl.DataFrame(columns)), problems


def _cast(series: pl.Series, kind: Kind) -> tuple[pl.Series, pl.Series]:
    """A column in its kind's type, and the cells that are not of it, which become missing."""
    if series.dtype.is_nested() or series.dtype in (pl.Binary, pl.Object):
        return pl.Series(series.name, [None] * len(series), DTYPES[kind]), series.is_not_null()
    if kind == "text":
        text = _text(series)
        return text.fill_null(""), text.is_null() & series.is_not_null()
    if series.dtype == pl.String:
        series = series.str.strip_chars()
        series = series.set((series == "") | (series == "."), None)
    if kind == "date":
        given = series.dtype.base_type() in (pl.Date, pl.Datetime, pl.Null)
        read = series.cast(pl.Date) if given else series.cast(pl.String).str.to_date("%Y-%m-%d", strict=False)
        return read, read.is_null() & series.is_not_null()
    if not (series.dtype.is_numeric() or series.dtype in (pl.String, pl.Null)):
        return pl.Series(series.name, [None] * len(series), DTYPES[kind]), series.is_not_null()
    number = series.cast(pl.Float64, strict=False)
    right = number.is_finite()
    if kind == "integer":
        right &= number == number.round()
        direct = series.cast(pl.Int64, strict=False)  # keeps what a float would round
        number = direct.zip_with(direct.is_not_null(), number.set(~right.fill_null(False), None).cast(pl.Int64))
    value = number.set(~right.fill_null(False), None)
    return value, series.is_not_null() & ~right.fill_null(False)


def _text(series: pl.Series) -> pl.Series:
    """Text without spaces around it; numbers, such as those that name centres in SAS, as text too, 2.0 as 2."""
    if series.dtype.is_float():
        series = series.set(~series.is_finite().fill_null(False), None)
        whole = series.cast(pl.Int64, strict=False)
        exact = (whole.cast(pl.Float64) == series).fill_null(False)
        return whole.cast(pl.String).zip_with(exact, series.cast(pl.String))
    return series.cast(pl.String, strict=False).str.strip_chars()


def find_problems(protocol: Protocol, sheets: dict[str, Sheet]) -> Iterator[Problem]:
    """Everything in which typed tables cannot be read as meant, table by table."""
    if "adsl" in sheets:
        yield from _subjects(protocol, sheets["adsl"])
        for name, sheet in sheets.items():
            if name in TABLES_OF_SUBJECTS and sheets["adsl"].has("USUBJID"):
                known = pl.col("USUBJID").is_in(sheets["adsl"].table["USUBJID"].to_list())
                yield from sheet.wrong("USUBJID", ~known, "a subject of adsl")
    for measure, row in protocol.schedule.items():
        instrument = Instrument.load(measure)
        name = "adlb" if instrument.scale == "log" else "adqs"
        if name in sheets:
            yield from _readings(sheets[name], name, instrument, row)
    for name in ("adlb", "adqs"):
        if name in sheets:
            yield from _codes(protocol, sheets[name])
            yield from _mixed_units(protocol, sheets[name])
    for name in ("adae", "adex"):
        if name in sheets:
            yield from _repeated(sheets[name], KEYS[name], pl.col(KEYS[name][1]).is_not_null())
    yield from day_problems(protocol, sheets)


TABLES_OF_SUBJECTS = ("adlb", "adqs", "adae", "adex", "adice")


def _subjects(protocol: Protocol, adsl: Sheet) -> Iterator[Problem]:
    yield from adsl.wrong("USUBJID", pl.col("USUBJID") == "", "a subject's number")
    yield from adsl.wrong("USUBJID", ~pl.col("USUBJID").is_first_distinct(), "each subject once", "Remove the row.")
    yield from adsl.wrong("ITTFL", ~pl.col("ITTFL").is_in(["Y", "N"]), "Y or N")
    if not adsl.has("ITTFL"):
        return
    if not (adsl.table["ITTFL"] == "Y").any():
        yield adsl.problem("ITTFL", "nobody with Y", "the randomised subjects", "Mark them.")
    randomised = pl.col("ITTFL") == "Y"
    arms = list(protocol.arms)
    yield from adsl.wrong("ARM", randomised & ~pl.col("ARM").is_in(arms), f"one of {', '.join(arms)}")
    yield from _empty_arms(adsl, arms)
    yield from adsl.wrong("RANDNO", randomised & pl.col("RANDNO").is_null(), "the order of randomisation")
    again = randomised & ~pl.when(randomised).then(pl.col("RANDNO")).is_first_distinct()
    yield from adsl.wrong("RANDNO", again, "each number once")
    compared = protocol.compared
    if "duration" in protocol.allocation.strata or (compared is not None and compared.by == "duration"):
        yield from adsl.wrong("DURDAYS", randomised & pl.col("DURDAYS").is_null(), "days since the injury")
    yield from adsl.wrong("DURDAYS", pl.col("DURDAYS") < 0, "days since the injury, at least 0")
    if protocol.gate is not None:
        yield from adsl.wrong("GATEFL", randomised & ~pl.col("GATEFL").is_in(["Y", "N"]), "Y or N")


def _empty_arms(adsl: Sheet, arms: list[str]) -> Iterator[Problem]:
    """Arms that nobody was randomised to, where the table says who was."""
    if not adsl.has("ARM"):
        return
    here = adsl.table.filter(pl.col("ITTFL") == "Y")["ARM"]
    for arm in arms:
        if len(here) and not (here == arm).any():
            remedy = "Add its subjects, correct ARM, or take the arm out of the protocol."
            yield adsl.problem("ARM", f"nobody randomised to {arm}", "somebody in every arm", remedy)


def _readings(sheet: Sheet, name: str, instrument: Instrument, row: Measurement) -> Iterator[Problem]:
    """Rows of one instrument against its document and its part of the schedule."""
    here = pl.col("PARAMCD") == instrument.paramcd
    sides = [side.upper() for side in row.sides]
    yield from sheet.wrong("SIDE", here & ~pl.col("SIDE").is_in(sides), f"one of {', '.join(sides)}")
    unscheduled = pl.lit(False)
    if sheet.has("AVISIT"):
        unscheduled = pl.col("AVISITN").is_null() & pl.col("AVISIT").str.to_uppercase().str.starts_with("UNSCHEDULED")
    visits = f"a visit of {instrument.name}: week {', '.join(f'{week:g}' for week in row.at)}"
    known = pl.col("AVISITN").is_in(list(row.at)).fill_null(False) | unscheduled
    remedy = "Correct it; a visit outside the schedule has no AVISITN and AVISIT = Unscheduled."
    yield from sheet.wrong("AVISITN", here & ~known, visits, remedy)
    yield from _repeated(sheet, KEYS[name], here & pl.col("AVISITN").is_not_null(), row.replicates)
    if instrument.scale == "log":
        yield from _concentrations(sheet, here)
    if instrument.range is not None:
        low, high = instrument.range
        outside = here & ~pl.col("AVAL").is_between(low, high)
        yield from sheet.wrong("AVAL", outside, f"{instrument.paramcd} from {low:g} to {high:g}")
    yield from _units(sheet, here, instrument)


def _concentrations(sheet: Sheet, here: pl.Expr) -> Iterator[Problem]:
    below, value, limit = pl.col("BLQFL") == "Y", pl.col("AVAL"), pl.col("LLOQ")
    yield from sheet.wrong("BLQFL", here & ~pl.col("BLQFL").is_in(["Y", "N"]), "Y or N")
    yield from sheet.wrong("LLOQ", here & below & ~(limit > 0).fill_null(False), "a limit above 0")
    yield from sheet.wrong("LLOQ", here & (limit <= 0), "a limit above 0, or nothing")
    expected = "a concentration above 0, or BLQFL = Y where it is below the limit"
    yield from sheet.wrong("AVAL", here & ~below & (value <= 0), expected)
    under = value < limit - pl.min_horizontal(pl.lit(HALF_LAST_DECIMAL), limit / 100)
    remedy = "Set BLQFL to Y and clear AVAL, or correct LLOQ."
    yield from sheet.wrong("AVAL", here & ~below & under, "a value of at least LLOQ where BLQFL is N", remedy)
    remedy = "Clear AVAL (AVALC may say <LLOQ), or set BLQFL to N."
    yield from sheet.wrong("AVAL", here & below & value.is_not_null(), "nothing where BLQFL is Y", remedy)
    hidden = pl.col("AVALC").str.starts_with("<") & ~below & value.is_null()
    yield from sheet.wrong("BLQFL", here & hidden, "Y, since AVALC is below a limit")


def _units(sheet: Sheet, here: pl.Expr, instrument: Instrument) -> Iterator[Problem]:
    """Units that are not the instrument's; points on a scale need none."""
    if not sheet.has("AVALU", "PARAMCD"):
        return
    optional = [""] if instrument.unit == "score" or (sheet.table.filter(here)["AVALU"] == "").all() else []
    for unit in sheet.table.filter(here)["AVALU"].unique(maintain_order=True).to_list():
        if unit not in optional and not _same_unit(unit, instrument.unit):
            remedy = _conversion(unit, instrument.unit)
            yield from sheet.wrong("AVALU", here & (pl.col("AVALU") == unit), repr(instrument.unit), remedy)


def _same_unit(unit: str, wanted: str) -> bool:
    try:
        return unit == wanted or isclose(factor(unit, wanted), 1, rel_tol=1e-9)
    except InputError:
        return False


def _conversion(unit: str, wanted: str) -> str:
    try:
        return f"Multiply AVAL and LLOQ by {factor(unit, wanted):g}, and write {wanted}."
    except InputError:
        return CORRECT


def _mixed_units(protocol: Protocol, sheet: Sheet) -> Iterator[Problem]:
    """Two units of one parameter that the protocol does not measure."""
    if not sheet.has("PARAMCD", "AVALU"):
        return
    other = ~pl.col("PARAMCD").is_in(_paramcds(protocol)) & (pl.col("AVALU") != "")
    first = pl.when(other).then(pl.col("AVALU")).drop_nulls().first().over("PARAMCD")
    for index in sheet.indices(other & (pl.col("AVALU") != first)):
        code = sheet.table["PARAMCD"][index]
        unit = sheet.table.filter(other & (pl.col("PARAMCD") == code))["AVALU"][0]
        yield sheet.at(index, "AVALU", f"{unit!r}, as in the first row of {code}", "Convert the values to one unit.")


def _paramcds(protocol: Protocol) -> list[str]:
    return [Instrument.load(measure).paramcd for measure in protocol.schedule]


def _codes(protocol: Protocol, sheet: Sheet) -> Iterator[Problem]:
    """Codes that differ from a scheduled instrument's in their case or spaces only, and codes that are missing."""
    codes = _paramcds(protocol)
    yield from sheet.wrong("PARAMCD", pl.col("PARAMCD") == "", "a parameter's code")
    alike = pl.col("PARAMCD").str.to_uppercase().is_in(codes) & ~pl.col("PARAMCD").is_in(codes)
    yield from sheet.wrong("PARAMCD", alike, f"one of {', '.join(codes)}")


def _repeated(sheet: Sheet, key: tuple[str, ...], here: pl.Expr, replicates: int = 1) -> Iterator[Problem]:
    """Rows whose key another row has; without replicate numbers, more rows than replicates."""
    least = [name for name in key if name != "REPNO"]
    given = [name for name in key if sheet.has(name)]
    if not sheet.has(*least, *here.meta.root_names()):
        return
    allowed = 1 if len(given) == len(key) else replicates
    before = pl.int_range(pl.len()).over(pl.struct(given)) >= allowed
    for index in sheet.indices(here & before):
        first = int(sheet.rows[_first_alike(sheet.table, given, index)])
        found = f"{sheet.cell(index, 'USUBJID')}, already in row {first}"
        times = "one row" if allowed == 1 else f"at most {allowed} rows"
        yield sheet.at(index, "USUBJID", f"{times} for each {', '.join(given)}", "Remove one of them.", found)


def _first_alike(table: pl.DataFrame, columns: list[str], index: int) -> int:
    same = pl.all_horizontal(pl.col(name).eq_missing(pl.lit(table[name][index])) for name in columns)
    return int(table.select(same.arg_true().first()).item())
