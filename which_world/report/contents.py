"""A report: worlds, map, benchmarks, and in sentences what they rest on and what overturns them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from which_world import arguments
from which_world.checks import shuffle_test, shuffles_of_normal
from which_world.decisions import benchmark_rho, columns_by_variable, robustness_value
from which_world.deletion import influence
from which_world.design import Design, check_few, terms_of
from which_world.maps import GRID, column_at_zero, map_rho, trusted, unreliable
from which_world.moments import on_one_thread
from which_world.priors import atanh_normal, check_belief, scales
from which_world.readings import tipping_point, weigh
from which_world.report.beliefs import PROBABILITY, sensitivity_of, worlds_of
from which_world.report.curves import curves, curves_said, not_looked_at
from which_world.report.examine import MISLED, data_checks, doubts, own_parts
from which_world.report.identifiers import belonging, groups_of, identifiers, narrowed, used
from which_world.report.instruments import instrument_table, instruments_said
from which_world.report.leaning import leaning
from which_world.report.names import TableAsRead, labelled, rows_of, source_of
from which_world.report.options import check_options, check_within, decided
from which_world.report.order import following, following_said, if_sorted, times
from which_world.report.report import Report, read_of
from which_world.report.sentences import (
    assumptions,
    conclusion,
    limits,
    moved,
    overturns,
    pulled,
    unread,
)
from which_world.report.uneven import uneven_effect, uneven_said
from which_world.report.words import listed

if TYPE_CHECKING:
    from which_world.priors import RhoPrior

ROWS_FOR_SIZE = 300  # from which the shuffle test is known to reject what it should,
ROWS_EACH = 20  # and so many for each coefficient
THINNED_TO = (
    40_000  # rows of a binary treatment, beyond which columns and benchmarks are drawn of fewer
)
# coefficients from which a column is asked first whether there will be a map, and a Pareto k̂ that
# thirty times as many draws do not bring down
ASKED_FIRST, HOPELESS = 100, 3.0
LOOKED = 200_000  # rows of which each one's influence is looked at


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
    """A report of a design: worlds, map, benchmarks, and sentences on what they rest on.

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
    source = source_of(table, dropped, names, undefined, data)
    if tell is None:
        tell = _silently
    options, within = check_options(options), check_within(within)
    tell = arguments.function(tell, "tell", "a function of a stage's name")
    if design.outcome_kind == "binary":
        unit = unit or "percentage points"
    of_file, design = design, labelled(design, labels, source.names)

    _check_hope(design, alpha, seed)
    shuffles = design.kinds == ("continuous", "binary")
    shuffled = shuffle_test(design, seed=seed) if shuffles else np.nan
    misled, normal = shuffled > MISLED, np.nan
    if shuffles and min(design.n, 5000) < max(ROWS_FOR_SIZE, ROWS_EACH * _coefficients(design)):
        normal = shuffles_of_normal(design, seed=seed)
    about = source.names, source.undefined
    checks = data_checks(design, source.dropped, shuffled, *about, normal)
    checks += following_said(design)
    shared, clustered, looked = _belonging(of_file, design, source)
    tell("draw the map")
    chart = _map_with_enough_draws(design, alpha=alpha, seed=seed)
    checks += [*looked, *unread(chart.rho.values, unreliable(chart)), *pulled(chart)]

    tell("read the worlds")
    worlds, draws = worlds_of(design, chart, belief, seed, misled)
    decision, choice = decided(chart, options, within, belief, not misled)
    instruments = instrument_table(design, worlds.loc["ρ free"], misled)
    checks += instruments_said(instruments, design, unit)
    at_hand = not design.stands_for and design.n <= LOOKED
    deciding = influence(design) if at_hand else pd.DataFrame()
    rows = None if source.data is None else rows_of(source.data, design)
    groups = groups_of(shared, of_file, rows)
    bent = curves(design, _times(of_file, design, source), groups)
    checks += [*curves_said(bent, unit, if_sorted(design)), *not_looked_at(design)]
    unlike = uneven_effect(design, groups)
    checks += uneven_said(unlike, design.treatment, unit)
    sensitivity = sensitivity_of(design, chart, belief, alpha, seed)
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
        decided=choice,
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


def _belonging(of_file, design, source):
    """Columns that may name who belongs together, and a question for each.

    And a sentence about what was looked at, where no column asks for one.
    """
    if design.stands_for:
        return pd.DataFrame(), [], []
    rows = None if source.data is None else rows_of(source.data, design)
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
    rows = None if source.data is None else rows_of(source.data, design)
    return times(rows, used(of_file), design)


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
        _refuse_terms(design, chart.attrs["parameters"], chart.pareto_k.values[zero])
    return chart


def _check_hope(design, alpha, seed):
    """Refuse at once, before anything is shuffled, where no draws will do: hundreds of levels."""
    if "binary" in design.kinds and _coefficients(design) >= ASKED_FIRST and not design.stands_for:
        parameters, k_hat = column_at_zero(design, alpha=alpha, seed=seed)
        if k_hat > HOPELESS:
            _refuse_terms(design, parameters, k_hat)


def _coefficients(design):
    return design.in_outcome.sum() + design.in_treatment.sum()


def _refuse_terms(design, parameters, k_hat):
    raise ValueError(
        f"{design.n:,} rows are too few for {parameters} parameters to be read off a map (Pareto "
        f"k̂ {k_hat:z.1f} at rho = 0); accepted are fewer terms, more rows, or, in Python, a "
        "sampled posterior: fit(joint_model(design))."
    )


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


def _leaning(design, chart, worlds, belief, alpha, seed):
    """How far the world "ρ free" leans on its priors; empty where it has no row."""
    if not np.isfinite(worlds.loc["ρ free", read_of(design)]):
        return ""
    return leaning(weigh(chart, belief, seed=seed), belief, scales(design, alpha=alpha).alpha)


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
