"""One patient, a few patients: is local TNF raised, what would each therapy do, and what did the one given do?

`consider(patient, weights=None, *, therapies=None, seed=1, people=20_000)` gives dictionaries and lists, for JSON;
a number that cannot be given is None. `Band` = {week, median, low, high, low_read, high_read}: the value lies in
low..high with probability 0.9, one more reading of it, with the error of day and assay, in low_read..high_read.

    causalgia, seed         version and seed
    patient                 name, title, synthetic, source, condition, condition_title, age, sex, weight, albumin (None
                            where unknown), duration_days, comorbidities (None where unasked), current, planned,
                            readings [{day, measure, title, short, side, text, unit}], doses [{day, text}],
                            adverse_events [{day, term, serious}], unmeasured [title, ...], notes [sentence, ...]
    people                  simulated, ess (effective sample size), least (refused below), strange (share of simulated
                            patients whose readings are no likelier), least_strange (refused below), body [what of
                            age, weight and albumin the population does not cover], inside (bool: not refused),
                            error (Monte Carlo error of a probability), label ("prior, uncalibrated"),
                            worlds [{name, title, prior, posterior}],
                            odd [{text, probability}]: readings that the population hardly ever shows
    before                  measure, title, unit, measured (bool), sentences; at the last visit before a dose
      .readings             median, low, high of the level by the readings alone: no population, error of day and assay;
                            None where nothing was read
      .level                median, low, high: readings and population together
      .contralateral        ratio, low, high (readings alone; None where one side is missing), probability (affected is
                            higher, readings alone), probability_fold (ratio above `fold`, with the population), fold
      .controls             percentile (of people without the disease who read lower), limit (their 95th centile),
                            probability (the level is above it), source
      .gate                 limit, unit, probability (the level is above it), answer ("above" | "below"), reading (the
                            geometric mean of the readings, None), again (probability that another day's two blisters
                            say the same), source
      .one_more             [{when, text, sd_now, sd_after, change (probability that the answer changes)}]
    weigh                   None where refused (see people.inside), else
      .week, .points        the week of comparison; the relief that counts, in points
      .none                 as a therapy, without the drug
      .therapies            best first, contraindicated last: [{name, title, group, drug, route, regimen,
        verdict             "may be justified" | "not justified" | "contraindicated"
        sure                probability behind the verdict, None where a contraindication decides
        bands               {measure: [Band, ...]} for blister-tnf, nrs, temperature, volume, motor
        effect              {measure: {mean, low, high}} against none at .week
        relief              probability of at least .points less pain than now
        relief_none         the same without the drug
        harms               [{term, serious, drug, control, excess, weight, cost, source, assumed}]
        benefit, harm       in points of pain
        net                 {mean, low, high, positive (probability above 0)}
        contraindications   [{term, level, because (the comorbidity, None: not recorded), source}]
        reasons             [{against (bool), text, source}], the weightiest first}]
      .choice               name of the best that may be justified, None where none is
      .weights              [{key, value, unit, text, source}]: what the user can change, by key
      .sentences
    after                   None without a dose, else (ess: effective sample size behind it)
      .week                 of the last visit, from the first dose
      .given                [text]
      .tnf, .pain           None where not read before and after, else {before, after, change, low, high, unit, scale
                            ("ratio" | "difference"), detectable (minimal detectable change), beyond (bool),
                            real (probability of a real fall, readings alone, or None), fell (with the population),
                            caused (probability that it fell, and the drug did more than half of it),
                            parts [{text, value}]: natural course, drug, expectation, error and regression to the mean}
      .hypotheses           [{name, title, prior, posterior}]: drug, no mediation, bypass, null
      .level                None without a drug level, else {drug, unit, observed [{day, value, low, high}],
                            map {symbol: value}, posterior [{symbol, unit, median, low, high, prior}], antibodies, ess}
      .next                 [{name, title, bands, level [Band]}]: no further dose, one more dose now
      .sentences
    summary                 sentences, the verdict first
    assumptions             sentences
    device                  research use, said once

A series gives {"causalgia", "seed", "patients": [as above], "series", "assumptions", "device"}, with `series`:
    n, tnf, pain            None below two patients with a change, else {unit, scale, patients [{name, change, se,
                            shrunk, low, high, real}], mean, low, high, prediction_low, prediction_high,
                            between (SD), p, smallest_p}
    can, cannot             sentences
    sentences
"""

from causalgia.documents.patient import Patient, Series
from causalgia.inference.patients.consideration import consider

__all__ = ["Patient", "Series", "consider"]
