"""A report: worlds, map, benchmarks and, in sentences, what they rest on and what would overturn them."""

import re
import warnings
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from scipy.special import logsumexp
from scipy.stats import norm
from threadpoolctl import threadpool_limits

from which_world import arguments
from which_world.checks import shuffle_test
from which_world.classical import ols
from which_world.decisions import benchmark_rho, left_together, robustness_value
from which_world.deletion import influence
from which_world.design import Design, check_design, terms_of
from which_world.effects import POINTS
from which_world.maps import GRID, map_rho, smoothed, trusted, unreliable
from which_world.moments import ONE_THREAD, condensed
from which_world.priors import AtanhNormal, atanh_normal, check_belief, scales
from which_world.readings import between_columns, read_map, tipping_point, weigh
from which_world.report.examine import MISLED, data_checks
from which_world.report.identifiers import belonging, identifiers
from which_world.report.instruments import instrument_table, instruments_said
from which_world.report.sentences import (
    assumptions,
    conclusion,
    contradiction,
    limits,
    moved,
    overturns,
    pulled,
    unread,
)
from which_world.report.words import listed

MANY = 40_000  # rows of a binary treatment beyond which a column needs fewer draws, a benchmark fewer rows
LOOKED = 200_000  # rows of which each one's influence is looked at
PROBABILITY = 0.95


class Report(NamedTuple):
    """What `make_report` found; every sentence in it is computed from these data.

    Attributes
    ----------
    design : Design
    unit : str
        Of the effect: outcome per unit of treatment.
    map : xarray.Dataset
        From `map_rho`.
    worlds : pandas.DataFrame
        One row a world: ``alpha`` (of a binary outcome ``effect``, in percentage points), ``low``,
        ``high``, ``gap`` (from least squares), ``rho``, ``rho_sd``, ``P(alpha>0)``
        (``P(effect>0)``), ``pareto_k``, ``ess`` and ``interpretation``, which says so where the
        data contradict a belief. NaN where the map cannot carry a world.
    draws : xarray.Dataset
        ``alpha`` (or ``effect``) and ``rho`` by ``world`` and ``draw``.
    tipping, robustness : pandas.Series
        From `tipping_point`, looked for ``from`` one ρ ``to`` another, as far as the map can be
        relied on; the robustness value of the ``estimate`` and of its ``interval``.
    benchmarks : pandas.DataFrame
        From `benchmark_rho`, without the instruments; empty when there is nothing to leave out.
    sensitivity : pandas.DataFrame
        The effect and P(α > 0) under other priors: of ρ and of α, each half and twice as wide.
    checks, limits, assumptions, overturns : list of str
        What the data are; what they cannot say; what the numbers rest on; what would change the
        conclusion.
    paragraph : str
        The conclusion, in words for a text of the reader's own.
    dropped : int
        Rows left out for missing values before the design was made.
    shuffled : float
        From `shuffle_test`; NaN for a continuous treatment or a binary outcome.
    clustered : tuple of str
        A question for each column that may name who belongs together; they stand among the `limits`
        too.
    identifiers : pandas.DataFrame
        One row for each such column of the file, outside the formulas: how alike its rows are, the
        effect ``within`` its groups, and ``rho``, the current that the formulas leave by leaving it
        out.
    instruments : pandas.DataFrame
        Posterior, maximum likelihood, two-stage least squares and the Anderson-Rubin interval side
        by side; empty without an instrument.
    influence : pandas.DataFrame
        From `influence`; empty where the rows are not at hand.
    belief : object
        The prior of ρ in the world "ρ free".
    """

    design: Design
    unit: str
    map: xr.Dataset
    worlds: pd.DataFrame
    draws: xr.Dataset
    tipping: pd.Series
    robustness: pd.Series
    benchmarks: pd.DataFrame
    sensitivity: pd.DataFrame
    checks: list
    limits: list
    assumptions: list
    overturns: list
    paragraph: str
    dropped: int = 0
    shuffled: float = np.nan
    clustered: tuple = ()
    identifiers: pd.DataFrame = pd.DataFrame()
    instruments: pd.DataFrame = pd.DataFrame()
    influence: pd.DataFrame = pd.DataFrame()
    belief: object = None

    @property
    def read(self):
        """The column of the effect that is read: ``"alpha"``, or ``"effect"`` of a binary outcome."""
        return read_of(self.design)


def read_of(design):
    """The name of the effect that a report of this design reads."""
    return "effect" if design.outcome_kind == "binary" else "alpha"


def beliefs(belief):
    """The worlds of a report: a name, what is believed of ρ, and in words."""
    worlds = {
        "ρ = 0": (0.0, "nothing unmeasured moves both T and Y"),
        "ρ free": (belief, "a hidden current of unknown size and sign"),
    }
    for rho, moves in ((-0.3, "lowers"), (0.3, "raises")):
        for sd, how, surely in ((0.25, "loosely", " probably"), (0.05, "firmly", "")):
            believed = atanh_normal(np.arctanh(rho), sd)
            words = f"what raises T unseen{surely} {moves} Y"
            worlds[f"ρ near {rho:+g}, {how}"] = believed, words
    return worlds


@threadpool_limits.wrap(**ONE_THREAD)
def make_report(
    design,
    *,
    unit="",
    belief=None,
    alpha=None,
    dropped=0,
    names=None,
    labels=None,
    undefined=None,
    data=None,
    seed=0,
    tell=None,
):
    """Take a design to worlds, map, benchmarks and the sentences of a report.

    Parameters
    ----------
    design : Design
    unit : str
        Of the effect, for figures and sentences: ``"kg"``. A binary outcome's is percentage points.
    belief : prior over ρ, optional
        The world "ρ free"; `atanh_normal` left out.
    alpha : float, optional
        Prior sd of the effect, as in `joint_model`.
    dropped : int
        Rows left out for missing values before the design was made, to be reported.
    names : mapping of str to str, optional
        The file's own names of renamed columns, from `read_table`, to be reported.
    labels : mapping of str to str, optional
        What to call the outcome, the treatment and the terms of the formulas in sentences, tables
        and figures: ``{"wt82_71": "the weight gain"}``.
    undefined : mapping of str to int, optional
        Rows among `dropped` in which a part of a formula was undefined, from `read_table`, to be
        reported.
    data : pandas.DataFrame, optional
        The rows the design was made from, with every column of the file: those that the formulas
        leave out are looked through for clusters.
    seed : int
    tell : function of str, optional
        Called with the name of each stage as it begins.

    Returns
    -------
    Report
        Everything but the least-squares row is a reading of one map; nothing is sampled.

    Raises
    ------
    TypeError, ValueError
        When `design` is no Design or `belief` no prior; when a label is of no variable, or two are
        the same; when the map cannot carry even ρ = 0.
    """
    check_design(design)
    unit, alpha = (
        arguments.text(unit, "unit"),
        arguments.optional(arguments.positive, alpha, "alpha"),
    )
    belief = atanh_normal() if belief is None else check_belief(belief)
    dropped, seed = arguments.count(dropped, "dropped", least=0), arguments.seed(seed)
    names, undefined = (
        _told(names, "names", arguments.text),
        _told(undefined, "undefined", arguments.count),
    )
    tell = (
        (lambda stage: None)
        if tell is None
        else arguments.function(tell, "tell", "a function of a stage's name")
    )
    unit = unit or ("percentage points" if design.outcome_kind == "binary" else "")
    of_file, design = design, _labelled(design, labels, names)
    shuffled = (
        shuffle_test(design, seed=seed) if design.kinds == ("continuous", "binary") else np.nan
    )
    checks = data_checks(design, dropped, shuffled, names, undefined)
    shared, clustered, looked = _belonging(of_file, design, data, names)
    tell("draw the map")
    chart = survey(design, alpha=alpha, seed=seed)
    checks += [*looked, *unread(chart.rho.values, unreliable(chart)), *pulled(chart)]
    tell("read the worlds")
    misled = shuffled > MISLED
    worlds, draws = _worlds(design, chart, belief, seed, misled)
    instruments = instrument_table(design, worlds.loc["ρ free"], misled)
    checks += instruments_said(instruments, design, unit)
    rows = pd.DataFrame() if design.stands_for or design.n > LOOKED else influence(design)
    sensitivity = _sensitivity(design, chart, belief, alpha, seed)
    tell("benchmarks")
    benchmarks = _benchmarks(_thinned(design, seed))
    tell("sentences")
    tip = _tipping(chart, worlds.loc["ρ = 0", read_of(design)])
    found = Report(
        design,
        unit,
        chart,
        worlds,
        draws,
        tip,
        _robustness(design),
        benchmarks,
        sensitivity,
        checks,
        [*limits(design, shuffled), *clustered],
        assumptions(design, belief, alpha, dropped, unit),
        [],
        "",
        dropped,
        shuffled,
        tuple(clustered),
        shared,
        instruments,
        rows,
        belief,
    )
    first, *others = found.limits
    found = found._replace(overturns=overturns(found), limits=[first + moved(found), *others])
    return found._replace(paragraph=conclusion(found))


def _belonging(of_file, design, data, names):
    """Columns that may name who belongs together, a question for each, and what was looked at where there is none."""
    if data is None:
        return pd.DataFrame(), [], []
    shared, looked = identifiers(of_file, _rows_of(data, design), names)
    asked = belonging(shared, design)
    none = (
        f"Looked through for clusters: {listed(looked)}; no column marks rows alike in both "
        "equations."
    )
    return shared, asked, [] if asked or not looked else [none]


def _labelled(design, labels, names):
    """The design, its variables called as the reader calls them."""
    accepted = "a mapping of names in the formulas to words, such as {'wt82_71': 'the weight gain'}"
    labels = arguments.mapping(
        {} if labels is None else labels, "labels", accepted, check=arguments.text
    )
    if not labels:
        return design
    own = {own: plain for plain, own in names.items()}
    labels = {own.get(name, name): words.strip() for name, words in labels.items()}
    terms, variables = terms_of(design)
    known = list(dict.fromkeys([design.outcome, design.treatment, *terms, *left_together(design)]))
    if any(name not in known for name in labels) or not all(labels.values()):
        arguments.refuse("labels", labels, f"words for {', '.join(known)}")
    if any(re.search(r"[\r\n]", words) for words in labels.values()):
        arguments.refuse("labels", labels, "words on one line")
    called = [labels.get(name, name) for name in known]
    if len(set(called)) < len(called):
        arguments.refuse("labels", labels, "another label for each variable")
    covariates = tuple(_called(*pair, labels) for pair in zip(design.covariates, terms))
    return replace(
        design,
        outcome=labels.get(design.outcome, design.outcome),
        covariates=covariates,
        treatment=labels.get(design.treatment, design.treatment),
        scales=design.scales.set_axis(list(covariates)),
        terms=tuple(labels.get(term, term) for term in terms),
        variables=tuple(tuple(labels.get(name, name) for name in names) for names in variables),
    )


def _called(column, term, labels):
    """A column's label with its term called as the reader calls it; what names the level stays."""
    if term not in labels:
        return column
    if column.startswith(term):
        return labels[term] + column.removeprefix(term)
    return f"{labels[term]} [{column}]"  # a level stands between the factors of a product


def _rows_of(data, design):
    arguments.instance(data, pd.DataFrame, "data", "the DataFrame that the design was made from")
    if len(data) != design.n:
        arguments.refuse("data", data, f"the {design.n:,} rows that the design was made from")
    return data


def _told(mapping, name, check):
    """What `read_table` tells of a file, or nothing."""
    return arguments.mapping(
        {} if mapping is None else mapping, name, f"Table.{name} of read_table", check=check
    )


def survey(design, *, alpha=None, seed=0):
    """The map, with as many draws a column as n allows, and more where Pareto k̂ asks for them.

    A column of a binary treatment costs draws times rows. With very many rows the columns change so
    evenly that half of them carry the splines between.
    """
    if large(design):
        return _quietly(design, rho=GRID[::2], alpha=alpha, seed=seed)
    for draws in (
        (512, 4096, 16384) if design.kind == "continuous" or design.n < 5000 else (512, 2048)
    ):
        chart = _quietly(design, alpha=alpha, seed=seed, draws=draws)
        bad = unreliable(chart)
        if not bad[np.abs(chart.rho.values) <= 0.9].any():
            return chart
    zero = int(np.abs(chart.rho.values).argmin())
    if bad[zero]:
        raise ValueError(
            f"{design.n:,} rows are too few for {chart.attrs['parameters']} parameters to be read "
            f"off a map (Pareto k̂ {chart.pareto_k.values[zero]:z.1f} at rho = 0); accepted are "
            "fewer terms, more rows, or, in Python, a sampled posterior: "
            "fit(joint_model(design))."
        )
    return chart


def _quietly(design, **options):
    """`map_rho` without its warnings of columns and of priors: `unread` and `pulled` say that in the report."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Pareto k̂ exceeds")
        warnings.filterwarnings("ignore", message="the priors move the effect")
        return map_rho(design, **options)


def _robustness(design):
    values = {"estimate": None, "interval": PROBABILITY}
    return pd.Series({name: robustness_value(design, probability=p) for name, p in values.items()})


def _tipping(chart, zero):
    chart = chart.isel(rho=trusted(chart))
    try:
        return pd.concat(
            [
                tipping_point(chart),
                pd.Series({"from": chart.rho.values[0], "to": chart.rho.values[-1]}),
            ]
        )
    except (
        ValueError
    ):  # there is nothing on one side of ρ = 0 that can be relied on; the report says so
        return pd.Series(
            {"interval": np.nan, "mean": np.nan, "at_zero": zero, "refused": True}, dtype=object
        )


def large(design):
    """Whether a binary treatment has more than MANY rows."""
    return design.kind == "binary" and design.n > MANY


def _worlds(design, chart, belief, seed, misled=False):
    result = ols(condensed(design))
    read, unit = read_of(design), POINTS * design.step if design.outcome_kind == "binary" else 1.0
    rows = {"OLS": _least_squares(result, read, unit)}
    draws = {"OLS": _flat(result, read, unit, np.random.default_rng(seed))}
    for name, (prior, meaning) in beliefs(belief).items():
        try:
            reading = weigh(chart, prior, seed=seed)
        except ValueError as refusal:
            if name == "ρ = 0":
                raise
            reading, meaning = None, f"not shown: {_unread(str(refusal))}"
        rows[name] = _row(reading, read)
        if reading is not None and isinstance(prior, float):
            rows[name] |= _column(chart, prior, read)
        against = (
            contradiction(prior, rows[name]["rho"]) if reading is not None and not misled else ""
        )
        rows[name]["interpretation"] = f"{meaning}; {against}" if against else meaning
        if reading is not None:
            draws[name] = reading[[read, "rho"]]
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("world")
    table.insert(3, "gap", table[read] - table.loc["OLS", read])
    drawn = xr.concat(
        [reading.drop_attrs() for reading in draws.values()], pd.Index(draws, name="world")
    )
    names = {"outcome": design.outcome, "treatment": design.treatment, "step": design.step}
    return table, drawn.assign_attrs(names)


def _column(chart, rho, read):
    """Mean and interval at one ρ, as the figure that moves has them."""
    column = between_columns(read_map(chart, PROBABILITY), [rho]).iloc[0]
    return {read: column["mean"], "low": column["low"], "high": column["high"]}


def _unread(refusal):
    """Why the map cannot carry a world, without the remedies that only a reader of Python can use."""
    if edge := re.match(
        r"([\d.]+)% of the posterior lies at the ends of the map .*and (\d\.\d\d)", refusal
    ):
        return f"{float(edge[1]):z.0f} % of the posterior lies beyond ρ = ±{edge[2]}"
    if rough := re.search(r"which hold ([\d.]+)% of the posterior", refusal):
        return f"{float(rough[1]):z.0f} % of the posterior lies where the map is far from Gaussian"
    return refusal.partition(";")[0]


def _least_squares(result, read, unit):
    low, high = unit * result.conf_int().loc["alpha"]
    t = result.params["alpha"] / result.bse["alpha"]
    return {
        read: unit * result.params["alpha"],
        "low": low,
        "high": high,
        "rho": np.nan,
        "rho_sd": np.nan,
        f"P({read}>0)": norm.cdf(t),
        "pareto_k": np.nan,
        "ess": np.nan,
        "interpretation": "least squares: no hidden current",
    }


def _flat(result, read, unit, rng, size=4000):
    """Least squares as draws of its effect: the posterior under a flat prior. It has no ρ."""
    effect = unit * (
        result.params["alpha"] + result.bse["alpha"] * rng.standard_t(result.df_resid, size)
    )
    return xr.Dataset(
        {read: ("draw", effect), "rho": ("draw", np.full(size, np.nan))},
        coords={"draw": np.arange(size)},
    )


def _row(reading, read):
    names = read, "low", "high", "rho", "rho_sd", f"P({read}>0)", "pareto_k", "ess"
    if reading is None:
        return dict.fromkeys(names, np.nan)
    effect, rho, tail = reading[read].values, reading.rho.values, (1 - PROBABILITY) / 2
    values = (
        effect.mean(),
        *np.quantile(effect, [tail, 1 - tail]),
        rho.mean(),
        rho.std(),
        (effect > 0).mean(),
        reading.attrs["pareto_k"],
        reading.attrs["ess"],
    )
    return dict(zip(names, map(float, values)))


def _sensitivity(design, chart, belief, alpha, seed):
    """The world "ρ free" again, under priors half and twice as wide."""
    sd, read = scales(design, alpha=alpha).alpha, read_of(design)
    trials = {"as reported": (belief, chart)}
    for word, factor in (("half", 0.5), ("twice", 2.0)):
        if isinstance(belief, AtanhNormal):
            trials[f"prior of ρ {word} as wide"] = (
                atanh_normal(belief.mean, factor * belief.sd),
                chart,
            )
        trials[f"prior of α {word} as wide"] = (belief, _reweigh(chart, sd, factor * sd))
    rows = {}
    for name, (prior, trial) in trials.items():
        try:
            rows[name] = _row(weigh(trial, prior, seed=seed), read)
        except ValueError:  # the map cannot carry this prior: an empty row says so
            rows[name] = _row(None, read)
    shown = [read, "low", "high", "rho", "rho_sd", f"P({read}>0)"]
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("prior")[shown]


def _reweigh(chart, old, new):
    """The map under another prior sd of α: its draws and its evidence weighted by the ratio of the two priors.

    Weights upon weights are judged anew, and no column is more reliable than it was.
    """
    ratio = norm.logpdf(chart.alpha.values, 0, new) - norm.logpdf(chart.alpha.values, 0, old)
    raw = chart.log_weight.values + ratio
    weight, k_hat = map(np.array, zip(*(smoothed(column) for column in raw)))
    return chart.assign(
        log_weight=(("rho", "draw"), weight),
        log_evidence=chart.log_evidence + logsumexp(raw, axis=1),
        ess=("rho", 1 / np.exp(2 * weight).sum(axis=1)),
        pareto_k=np.maximum(chart.pareto_k, k_hat),
    )


def _thinned(design, seed):
    """At most MANY rows of a binary design, drawn at random: a benchmark needs a few digits only."""
    if not large(design):
        return design
    rows = np.sort(np.random.default_rng(seed).choice(design.n, MANY, replace=False))
    C = design.C[rows]
    if (np.ptp(C, axis=0) == 0).any():  # a rare level was missed
        return design
    return replace(design, y=design.y[rows], t=design.t[rows], C=C)


def _benchmarks(design):
    """Every variable left out in turn, but no instrument: without one least squares stays what it is."""
    groups = left_together(design)
    own = {
        name: labels
        for name, labels in groups.items()
        if not set(labels) <= set(design.instruments)
    }
    if len(groups) < 2 or not own:
        columns = ["rho", f"{read_of(design)}_without", "change", "reason"]
        return pd.DataFrame(columns=columns).rename_axis("left out")
    return benchmark_rho(design).loc[list(own)].sort_values("rho", key=abs, ascending=False)


def readable(report):
    """The part of a report's map that a figure shows, |ρ| ≤ 0.8; columns that cannot be relied on are NaN."""
    table = read_map(report.map)
    return table[np.abs(table.index) <= 0.8]
