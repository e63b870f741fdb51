"""A report: worlds, map, benchmarks, and in sentences what they rest on and what overturns them."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
import pandas as pd
import xarray as xr
from scipy.special import logsumexp
from scipy.stats import norm

from which_world import arguments
from which_world.checks import shuffle_test, shuffles_of_normal
from which_world.classical import effect_line
from which_world.decisions import benchmark_rho, columns_by_variable, robustness_value
from which_world.deletion import influence
from which_world.design import Design, check_few, terms_of
from which_world.effects import POINTS
from which_world.maps import GRID, map_rho, smoothed, trusted, unreliable
from which_world.moments import on_one_thread
from which_world.priors import AtanhNormal, atanh_normal, check_belief, scales
from which_world.readings import between_columns, read_map, summary, tipping_point, weigh
from which_world.report.curves import curves, curves_said, not_looked_at
from which_world.report.examine import MISLED, data_checks, doubts, own_parts
from which_world.report.identifiers import belonging, identifiers, narrowed, used
from which_world.report.instruments import instrument_table, instruments_said
from which_world.report.leaning import leaning
from which_world.report.options import check_options, check_within, decided
from which_world.report.order import following, following_said, times
from which_world.report.report import Report, read_of
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
from which_world.report.uneven import uneven_effect, uneven_said
from which_world.report.words import listed

if TYPE_CHECKING:
    from pathlib import Path

    from which_world.priors import RhoPrior

ROWS_FOR_SIZE = 300  # from which the shuffle test is known to reject what it should,
ROWS_EACH = 20  # and so many for each coefficient
THINNED_TO = (
    40_000  # rows of a binary treatment, beyond which columns and benchmarks are drawn of fewer
)
LOOKED = 200_000  # rows of which each one's influence is looked at
PROBABILITY = 0.95
FLAT_DRAWS = 4000  # of least squares
FIRMLY, LOOSELY = 0.05, 0.25  # sd of atanh ρ in the worlds of a belief


class TableAsRead(Protocol):
    """What a report takes from the table that `read_table` gives."""

    @property
    def data(self) -> pd.DataFrame | Path | None: ...
    @property
    def dropped(self) -> int: ...
    @property
    def names(self) -> Mapping[str, str]: ...
    @property
    def undefined(self) -> Mapping[str, int]: ...


class Source(NamedTuple):
    """What is known of the rows that a design was made from; no `data` where none are at hand."""

    data: pd.DataFrame | None
    dropped: int
    names: dict[str, str]
    undefined: dict[str, int]


def unit_of_effect(design: Design) -> float:
    """What one unit of a slope is in the effect that is read."""
    return POINTS * design.step if design.outcome_kind == "binary" else 1.0


def beliefs(
    belief: RhoPrior,
) -> dict[str, tuple[float | RhoPrior, str]]:
    """The worlds of a report: by name what is believed of ρ, also in words."""
    worlds: dict[str, tuple[float | RhoPrior, str]] = {
        "ρ = 0": (0.0, "nothing unmeasured moves both T and Y"),
        "ρ free": (belief, "a hidden current of unknown size and sign"),
    }
    for rho, moves in ((-0.3, "lowers"), (0.3, "raises")):
        probably = f"what raises T unseen probably {moves} Y"
        surely = f"what raises T unseen {moves} Y"
        mean = np.arctanh(rho)
        worlds[f"ρ near {rho:+g}, loosely"] = atanh_normal(mean, LOOSELY), probably
        worlds[f"ρ near {rho:+g}, firmly"] = atanh_normal(mean, FIRMLY), surely
    return worlds


@on_one_thread
def make_report(
    design: Design,
    *,
    table: TableAsRead | None = None,
    unit: str = "",
    belief: RhoPrior | None = None,
    alpha: float | None = None,
    dropped: int = 0,
    names: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
    undefined: Mapping[str, int] | None = None,
    data: pd.DataFrame | None = None,
    options: Mapping[str, tuple[float, float]] | None = None,
    within: tuple[float, float] | None = None,
    seed: int = 0,
    tell: Callable[[str], object] | None = None,
) -> Report:
    """Take a design to worlds, map, benchmarks and the sentences of a report.

    Parameters
    ----------
    design : Design
    table : Table, optional
        What `read_table` gave, from which the design was made: its rows, which are looked through
        for clusters, and the names and dropped rows to be reported. It stands for `dropped`,
        `names`, `undefined` and `data`, which tell the same one by one.
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
    options : mapping of str to pair of float, optional
        What the reader could do: of each option what it costs, in units of the effect, and the
        share of the effect that it brings: ``{"as now": (0, 0), "all": (2.5, 1)}``. The report then
        says which is best at which ρ, and where that turns.
    within : pair of float, optional
        The ρ between which options are compared; by default -0.5 and 0.5.
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
        the same; when an option has no cost and share; when the map cannot carry even ρ = 0; when
        `table` comes with what it holds already.

    See Also
    --------
    read_table : Rows of a file, and what was dropped and renamed.
    write_report : A report as a folder of tables, figures and pages.
    map_rho : The map that a report reads.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from which_world import make_design, make_report
    >>> data = pd.DataFrame(np.random.default_rng(0).normal(size=(200, 3)), columns=["x", "v", "u"])
    >>> data["t"] = data.x + data.v
    >>> data["y"] = 2 * data.t + data.x + data.u
    >>> report = make_report(make_design(data, outcome="y ~ t + x", treatment="t ~ x"), unit="mm")
    >>> report.worlds[["alpha", "low", "high"]].head(3).round(1).rename_axis(None)
            alpha  low  high
    OLS       2.0  1.8   2.1
    ρ = 0     2.0  1.8   2.1
    ρ free    1.9  0.7   3.1
    """
    check_few(design)
    unit, alpha = (
        arguments.text(unit, "unit"),
        arguments.optional(arguments.positive, alpha, "alpha"),
    )
    belief = atanh_normal() if belief is None else check_belief(belief)
    seed = arguments.seed(seed)
    source = _source(table, dropped, names, undefined, data)
    if tell is None:
        tell = _silently
    options, within = check_options(options), check_within(within)
    tell = arguments.function(tell, "tell", "a function of a stage's name")
    if design.outcome_kind == "binary":
        unit = unit or "percentage points"
    of_file, design = design, _labelled(design, labels, source.names)

    shuffles = design.kinds == ("continuous", "binary")
    shuffled = shuffle_test(design, seed=seed) if shuffles else np.nan
    misled, normal = shuffled > MISLED, np.nan
    coefficients = design.in_outcome.sum() + design.in_treatment.sum()
    if shuffles and min(design.n, 5000) < max(ROWS_FOR_SIZE, ROWS_EACH * coefficients):
        normal = shuffles_of_normal(design, seed=seed)
    about = source.names, source.undefined
    checks = data_checks(design, source.dropped, shuffled, *about, normal)
    checks += following_said(design)
    shared, clustered, looked = _belonging(of_file, design, source)
    tell("draw the map")
    chart = _map_with_enough_draws(design, alpha=alpha, seed=seed)
    checks += [*looked, *unread(chart.rho.values, unreliable(chart)), *pulled(chart)]

    tell("read the worlds")
    worlds, draws = _worlds(design, chart, belief, seed, misled)
    decision, said = decided(chart, options, within, belief, not misled)
    instruments = instrument_table(design, worlds.loc["ρ free"], misled)
    checks += instruments_said(instruments, design, unit)
    at_hand = not design.stands_for and design.n <= LOOKED
    deciding = influence(design) if at_hand else pd.DataFrame()
    bent = curves(design, _times(of_file, design, source))
    checks += [*curves_said(bent, unit), *not_looked_at(design)]
    unlike = uneven_effect(design)
    checks += uneven_said(unlike, design.treatment, unit)
    sensitivity = _sensitivity(design, chart, belief, alpha, seed)
    tell("benchmarks")
    benchmarks = _benchmarks(_thinned(design, seed))

    tell("sentences")
    report = Report(
        design=design,
        unit=unit,
        map=chart,
        worlds=worlds,
        draws=draws,
        tipping=_tipping(chart, worlds.loc["ρ = 0", read_of(design)]),
        robustness=_robustness(design),
        benchmarks=benchmarks,
        sensitivity=sensitivity,
        checks=checks,
        limits=[*limits(design, shuffled, normal), *clustered],
        assumptions=assumptions(design, belief, alpha, source.dropped, unit),
        overturns=[],
        paragraph="",
        dropped=source.dropped,
        shuffled=shuffled,
        shuffled_normal=normal,
        clustered=tuple(clustered),
        identifiers=shared,
        instruments=instruments,
        influence=deciding,
        belief=belief,
        decision=decision,
        decided=said,
        leaning=_leaning(design, chart, worlds, belief, alpha, seed),
        narrow=(*narrowed(shared), *doubts(design), *following(design)),
        curved=bent,
        uneven=unlike,
    )
    first, *others = report.limits
    report = report._replace(overturns=overturns(report), limits=[first + moved(report), *others])
    return report._replace(paragraph=conclusion(report))


def _silently(stage):
    """What tells a stage to nobody."""


def _source(table, dropped, names, undefined, data) -> Source:
    """What is known of the rows of a design, from a table or told one by one."""
    dropped = arguments.count(dropped, "dropped", least=0)
    names = _of_table(names, "names", arguments.text)
    undefined = _of_table(undefined, "undefined", arguments.count)
    if table is None:
        return Source(data, dropped, names, undefined)
    if not all(hasattr(table, name) for name in Source._fields):
        arguments.refuse("table", table, "the Table of read_table(path, ...)", error=TypeError)
    told = {"data": data is not None, "dropped": dropped, "names": names, "undefined": undefined}
    if twice := [name for name, given in told.items() if given]:
        raise ValueError(
            f"{twice[0]}=... is told twice, since table=... holds it; accepted is either the table "
            "or what it holds."
        )
    rows = table.data if isinstance(table.data, pd.DataFrame) else None
    return _source(None, table.dropped, table.names, table.undefined, rows)


def _of_table(mapping, name, check):
    """What `read_table` says of a file by name, or nothing."""
    accepted = f"Table.{name} of read_table"
    return arguments.mapping({} if mapping is None else mapping, name, accepted, check=check)


def _belonging(of_file, design, source):
    """Columns that may name who belongs together, and a question for each.

    And a sentence about what was looked at, where no column asks for one.
    """
    if design.stands_for:
        return pd.DataFrame(), [], []
    rows = None if source.data is None else _rows_of(source.data, design)
    shared, looked = identifiers(of_file, rows, source.names)
    asked = belonging(shared, design)
    if asked or not looked:
        return shared, asked, []
    none = (
        f"Looked through for clusters: {listed(looked)}; no column marks rows alike enough in both "
        "equations to matter."
    )
    return shared, asked, [none]


def _times(of_file, design, source):
    """Columns that may be time, where rows are at hand."""
    if design.stands_for:
        return {}
    rows = None if source.data is None else _rows_of(source.data, design)
    return times(rows, used(of_file), design)


def _rows_of(data, design):
    """The data, if they are the rows that the design was made from."""
    arguments.instance(data, pd.DataFrame, "data", "the DataFrame that the design was made from")
    if len(data) != design.n:
        arguments.refuse("data", data, f"the {design.n:,} rows that the design was made from")
    return data


def _labelled(design, labels, names):
    """The design, its variables called as the reader calls them."""
    accepted = "a mapping of names in the formulas to words, such as {'wt82_71': 'the weight gain'}"
    labels = {} if labels is None else labels
    labels = arguments.mapping(labels, "labels", accepted, check=arguments.text)
    if not labels:
        return design
    plain_names = {own: plain for plain, own in names.items()}
    labels = {plain_names.get(name, name): words.strip() for name, words in labels.items()}
    terms, variables = terms_of(design)
    groups = columns_by_variable(design)
    known = list(dict.fromkeys([design.outcome, design.treatment, *terms, *groups]))
    _check_labels(labels, known)
    called = {name: labels.get(name, name) for name in [*known, *sum(variables, ())]}
    pairs = zip(design.covariates, terms)
    covariates = tuple(_called(column, term, labels) for column, term in pairs)
    return replace(
        design,
        outcome=called[design.outcome],
        treatment=called[design.treatment],
        covariates=covariates,
        scales=design.scales.set_axis(list(covariates)),
        terms=tuple(called[term] for term in terms),
        variables=tuple(tuple(called[name] for name in names) for names in variables),
    )


def _check_labels(labels, known):
    """Refuse labels of no variable, without words, of several lines, or of two variables."""
    if any(name not in known for name in labels) or not all(labels.values()):
        arguments.refuse("labels", labels, f"words for {', '.join(known)}")
    if any(re.search(r"[\r\n]", words) for words in labels.values()):
        arguments.refuse("labels", labels, "words on one line")
    if len({labels.get(name, name) for name in known}) < len(known):
        arguments.refuse("labels", labels, "another label for each variable")


def _called(column, term, labels):
    """A column's label with its term as the reader calls it; what names the level stays."""
    if term not in labels:
        return column
    if column.startswith(term):
        return labels[term] + column.removeprefix(term)
    return f"{labels[term]} [{column}]"  # a level stands between the factors of a product


def _map_with_enough_draws(design, *, alpha=None, seed=0):
    """The map, with as many draws a column as n allows, and more where Pareto k̂ asks for them.

    A column of a binary treatment costs draws times rows. With very many rows the columns change so
    evenly that half of them carry the splines between.
    """
    if large(design):
        return _quiet_map(design, rho=GRID[::2], alpha=alpha, seed=seed)
    cheap = design.kind == "continuous" or design.n < 5000
    for draws in (512, 4096, 16384) if cheap else (512, 2048):
        chart = _quiet_map(design, alpha=alpha, seed=seed, draws=draws)
        rho, bad = np.abs(chart.rho.values), unreliable(chart)
        if not bad[rho <= 0.9].any():
            return chart
    zero = int(rho.argmin())
    if bad[zero]:
        raise ValueError(
            f"{design.n:,} rows are too few for {chart.attrs['parameters']} parameters to be read "
            f"off a map (Pareto k̂ {chart.pareto_k.values[zero]:z.1f} at rho = 0); accepted are "
            "fewer terms, more rows, or, in Python, a sampled posterior: "
            "fit(joint_model(design))."
        )
    return chart


def _quiet_map(design, **options):
    """`map_rho` without its warnings, which `unread` and `pulled` say in the report."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Pareto k̂ exceeds")
        warnings.filterwarnings("ignore", message="the priors move the effect")
        return map_rho(design, **options)


def _robustness(design):
    """The robustness value of the estimate and of its interval."""
    values = {"estimate": None, "interval": PROBABILITY}
    return pd.Series({name: robustness_value(design, probability=p) for name, p in values.items()})


def _tipping(chart, zero):
    """`tipping_point` as far as the map can be relied on; ``refused`` where it ends at ρ = 0."""
    chart = chart.isel(rho=trusted(chart))
    try:
        tip = tipping_point(chart)
    except ValueError:  # nothing on one side of ρ = 0 can be relied on; the report says so
        tip = {"interval": np.nan, "mean": np.nan, "at_zero": zero, "refused": True}
        return pd.Series(tip, dtype=object)
    return pd.concat([tip, pd.Series({"from": chart.rho.values[0], "to": chart.rho.values[-1]})])


def large(design: Design) -> bool:
    """Whether a binary treatment has more than THINNED_TO rows."""
    return design.kind == "binary" and design.n > THINNED_TO


def _worlds(design, chart, belief, seed, misled=False):
    """The table of worlds, and their draws."""
    read = read_of(design)
    least_squares = effect_line(design)
    unit, rng = unit_of_effect(design), np.random.default_rng(seed)
    rows = {"OLS": _least_squares(least_squares, read, unit)}
    draws = {"OLS": _flat(least_squares, read, unit, rng)}
    for name, (prior, meaning) in beliefs(belief).items():
        try:
            reading = weigh(chart, prior, seed=seed, likelihood=name == "ρ free" or not misled)
        except ValueError as refusal:
            if name == "ρ = 0":
                raise
            rows[name] = _no_row(read) | {"interpretation": f"not shown: {_unread(str(refusal))}"}
            continue
        rows[name] = _row(reading, read)
        if isinstance(prior, float):
            rows[name] |= _column(chart, prior, read)
        against = "" if misled else contradiction(prior, rows[name]["rho"])
        if misled and name not in ("ρ = 0", "ρ free"):
            against = "the likelihood, which the shuffles reject, has no say on ρ"
        rows[name]["interpretation"] = f"{meaning}; {against}" if against else meaning
        draws[name] = reading[[read, "rho"]]
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("world")
    table.insert(3, "gap", table[read] - table.loc["OLS", read])
    names = pd.Index(draws, name="world")
    together = xr.concat([reading.drop_attrs() for reading in draws.values()], names)
    said = {"outcome": design.outcome, "treatment": design.treatment, "step": design.step}
    return table, together.assign_attrs(said)


def _column(chart, rho, read):
    """Mean and interval at one ρ, as the figure that moves has them."""
    column = between_columns(read_map(chart, PROBABILITY), [rho]).iloc[0]
    return {read: column["mean"], "low": column["low"], "high": column["high"]}


def _unread(refusal):
    """Why the map cannot carry a world, without the remedies that need Python."""
    at_ends = r"([\d.]+)% of the posterior lies at the ends of the map .*and (\d\.\d\d)"
    if edge := re.match(at_ends, refusal):
        return f"{float(edge[1]):z.0f} % of the posterior lies beyond ρ = ±{edge[2]}"
    if rough := re.search(r"which hold ([\d.]+)% of the posterior", refusal):
        return f"{float(rough[1]):z.0f} % of the posterior lies where the map is far from Gaussian"
    return refusal.partition(";")[0]


def _least_squares(result, read, unit):
    """The row of least squares, which has no ρ."""
    low, high = unit * result.conf_int().loc["alpha"]
    t = result.params["alpha"] / result.bse["alpha"]
    return _no_row(read) | {
        read: unit * result.params["alpha"],
        "low": low,
        "high": high,
        f"P({read}>0)": norm.cdf(t),
        "interpretation": "least squares: no hidden current",
    }


def _flat(result, read, unit, rng):
    """Least squares as draws of its effect: the posterior under a flat prior. It has no ρ."""
    errors = result.bse["alpha"] * rng.standard_t(result.df_resid, FLAT_DRAWS)
    effect = unit * (result.params["alpha"] + errors)
    nothing = np.full(FLAT_DRAWS, np.nan)
    variables = {read: ("draw", effect), "rho": ("draw", nothing)}
    return xr.Dataset(variables, coords={"draw": np.arange(FLAT_DRAWS)})


def _no_row(read):
    """A row of a world that the map cannot carry."""
    names = read, "low", "high", "rho", "rho_sd", f"P({read}>0)", "pareto_k", "ess"
    return dict.fromkeys(names, np.nan)


def _row(reading, read):
    """The row of a world, from its draws."""
    row = summary(reading[read].values, reading.rho.values, PROBABILITY, read)
    row |= {name: reading.attrs[name] for name in ("pareto_k", "ess")}
    return {name: float(value) for name, value in row.items()}


def _sensitivity(design, chart, belief, alpha, seed):
    """The world "ρ free" again, under priors half and twice as wide."""
    sd, read = scales(design, alpha=alpha).alpha, read_of(design)
    trials = {"as reported": (belief, chart)}
    for word, factor in (("half", 0.5), ("twice", 2.0)):
        if isinstance(belief, AtanhNormal):
            wider = atanh_normal(belief.mean, factor * belief.sd)
            trials[f"prior of ρ {word} as wide"] = wider, chart
        trials[f"prior of α {word} as wide"] = belief, _reweigh(chart, sd, factor * sd)
    rows = {}
    for name, (prior, trial) in trials.items():
        try:
            rows[name] = _row(weigh(trial, prior, seed=seed), read)
        except ValueError:  # the map cannot carry this prior: an empty row says so
            rows[name] = _no_row(read)
    shown = [read, "low", "high", "rho", "rho_sd", f"P({read}>0)"]
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("prior")[shown]


def _leaning(design, chart, worlds, belief, alpha, seed):
    """How far the world "ρ free" leans on its priors; empty where it has no row."""
    if not np.isfinite(worlds.loc["ρ free", read_of(design)]):
        return ""
    return leaning(weigh(chart, belief, seed=seed), belief, scales(design, alpha=alpha).alpha)


def _reweigh(chart, old, new):
    """The map under another prior sd of α, weighted by the ratio of the two priors.

    Weights upon weights are judged anew, and no column is more reliable than it was.
    """
    ratio = norm.logpdf(chart.alpha.values, 0, new) - norm.logpdf(chart.alpha.values, 0, old)
    raw = chart.log_weight.values + ratio
    smooth = [smoothed(column) for column in raw]
    weight, k_hat = map(np.array, zip(*smooth))
    return chart.assign(
        log_weight=(("rho", "draw"), weight),
        log_evidence=chart.log_evidence + logsumexp(raw, axis=1),
        ess=("rho", 1 / np.exp(2 * weight).sum(axis=1)),
        pareto_k=np.maximum(chart.pareto_k, k_hat),
    )


def _thinned(design, seed):
    """At most THINNED_TO rows of a binary design, drawn at random: a benchmark needs few digits."""
    if not large(design):
        return design
    rows = np.sort(np.random.default_rng(seed).choice(design.n, THINNED_TO, replace=False))
    C = design.C[rows]
    if (np.ptp(C, axis=0) == 0).any():  # a rare level was missed
        return design
    return replace(design, y=design.y[rows], t=design.t[rows], C=C)


def _benchmarks(design):
    """Every variable left out in turn, strongest first.

    But no instrument: without one least squares stays what it is. Nor what the treatment is of.
    """
    instruments, groups = set(design.instruments), columns_by_variable(design)
    terms, parts = dict(zip(design.covariates, terms_of(design)[0])), own_parts(design)
    own = [
        name
        for name, labels in groups.items()
        if not set(labels) <= instruments and not any(terms[label] in parts for label in labels)
    ]
    if len(groups) < 2 or not own:
        columns = ["rho", f"{read_of(design)}_without", "change", "reason"]
        return pd.DataFrame(columns=columns).rename_axis("left out")
    return benchmark_rho(design).loc[own].sort_values("rho", key=abs, ascending=False)
