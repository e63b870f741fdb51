"""The map: the posterior of α at every ρ, and the evidence of each; `readings` reads it.

What is read off a map is the ``effect``: α itself, or for a binary outcome the average difference
in its chance.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from scipy.special import logsumexp
from scipy.stats import norm

from which_world import arguments
from which_world.classical import effect_at_rho, finite, maximum_likelihood
from which_world.design import check_design, terms_of, warn_long
from which_world.engine import conjugate
from which_world.engine.laplace import PARETO_K
from which_world.engine.likelihoods import rows_of
from which_world.engine.pairs import PAIRS
from which_world.engine.weighing import (
    TRIED,
    WORK,
    exact_columns,
    nodes_of,
    smoothed,
    weighted_columns,
)
from which_world.moments import on_one_thread
from which_world.priors import scales

if TYPE_CHECKING:
    from which_world.design import Design
    from which_world.priors import Normal, UnitInformation

PULLED = 0.25  # standard errors by which priors may move the effect at ρ = 0 without a word
PROBED = 512  # draws at ρ = 0 that show it
# seconds a row, of steps in the making of a map, on one core: of a yes or a no its kernel
EXACT, DRAWN, SQUARED = 3e-10, 6e-10, 4e-10
KERNEL = {"continuous": 2e-8, "binary": 1.2e-7}  # by the outcome's kind
NUMBER, CUBE = 5e-8, 1e-9
GRID = np.tanh(np.linspace(-2.4, 2.4, 49))  # ρ from -0.98 to 0.98, evenly in atanh ρ


@on_one_thread
def map_rho(
    design: Design,
    *,
    rho: Sequence[float] | np.ndarray = GRID,
    coefficients: Normal | UnitInformation | None = None,
    alpha: float | None = None,
    sigma: float | None = None,
    draws: int = 512,
    seed: int = 0,
) -> xr.Dataset:
    """A map: the posterior of everything but ρ, at each ρ of a grid.

    Parameters
    ----------
    design : Design
    rho : sequence of float, increasing, in (-1, 1)
        At least five values; even steps in atanh ρ serve best. Readings interpolate between them.
    coefficients, alpha, sigma
        The prior, as in `joint_model`.
    draws : int
        Draws at each ρ, from the same scrambled Sobol points in every column; a power of two serves
        best.
    seed : int

    Returns
    -------
    xarray.Dataset
        Dims ``rho`` and ``draw``. ``effect`` (rho, draw), what readings read: the same as ``alpha``
        (units of the outcome per unit of the treatment), or for a binary outcome the average
        difference that the treatment makes to its chance, in percentage points, everybody keeping
        her own error: at 1 against at 0, or, if continuous, higher by the design's ``step`` (an
        attribute) than it was. ``alpha`` is then the shift of its index, per unit. With
        ``log_weight`` (rho, draw; normalised, so that each column's weights sum to one);
        ``log_evidence`` (rho), of data given ρ; ``pareto_k`` and ``ess`` (rho), the reliability of
        each column.

    Raises
    ------
    ValueError
        When `rho` is not increasing within (-1, 1).

    Warns
    -----
    UserWarning
        Before any work, when rows and covariates are so many that a map takes long. Afterwards,
        when the priors move the effect at ρ = 0 by more than a quarter of its standard error from
        the classical estimate (the attribute ``pulled`` says by how many), and naming the columns
        whose Pareto k̂ exceeds 0.7. They are kept, and no reading leans on them: `read_map`
        leaves them empty, the others refuse.

    Notes
    -----
    Where outcome and treatment are continuous a column is exact but for an integral over its two
    scales, however many covariates there are. Elsewhere: mode by Newton's method, Laplace
    approximation, then importance weights with Pareto smoothing (Vehtari et al. 2024), of
    randomised quasi-Monte Carlo draws; ``ess`` reports the error of all that were proposed.

    *Few rows.* A posterior has longer tails than a Gaussian then. A first round of Student t draws
    shows its mean and spread, up to eight times `draws` are proposed with these, and the map holds
    their quantiles as `draws` equal draws. With more rows all columns are drawn in this way where
    one cannot be relied on otherwise.

    *Many rows.* The log weights hardly vary: 32 are computed, or 128, and the others follow from a
    cubic of what is read through these, as a binary outcome's effect does.

    *Rows whose index is hardly known*, as where nobody of a rare level said yes, are weighed for
    every draw, and the directions in which they bend a column have densities of their own.

    *A long grid.* Some columns are weighed, 0.3 apart in atanh ρ (0.6 where rows are many), and
    more beside each that a spline through the others misses by a fifth of its standard deviation,
    or of a log. A column between has its own mode; its draws, weights and evidence are splines, and
    its ``pareto_k`` is the worse of its two neighbours'. Measured where |ρ| ≤ 0.95, splines move
    means by less than 0.01 and ends of intervals by less than 0.1 standard deviations; by 0.02 and
    0.2, which is the noise of the draws, where nobody of a level said yes.

    *Rows in pieces.* Where a response is binary each step reads them once for all ρ: Newton's steps
    from the modes of a part of the rows, then the draws of all weighed columns; some fifteen to
    twenty readings, on the Dask cluster at hand or on threads. The map is that of rows in memory.

    See Also
    --------
    read_map : the map as a table.
    tipping_point : the ρ that puts the sign in doubt.
    weigh : a belief about ρ, laid on the map.

    Examples
    --------
    Two hundred rows with a slope of 2, and the effect that it would stand for at five ρ:

    >>> import numpy as np, pandas as pd
    >>> from which_world import make_design, map_rho, read_map
    >>> rng = np.random.default_rng(0)
    >>> data = pd.DataFrame({"t": rng.normal(size=200)})
    >>> data["y"] = 2 * data["t"] + rng.normal(size=200)
    >>> design = make_design(data, outcome="y ~ t", treatment="t ~ 1")
    >>> chart = map_rho(design, rho=[-0.8, -0.5, 0, 0.5, 0.8])
    >>> read_map(chart)["mean"].round(1).to_dict()
    {-0.8: 3.3, -0.5: 2.5, 0.0: 1.9, 0.5: 1.3, 0.8: 0.5}
    """
    started = time.perf_counter()
    check_design(design)
    rho, draws, seed = _grid(rho), arguments.count(draws, "draws", least=100), arguments.seed(seed)
    _warn_long(design, rho, draws)
    rows, prior = rows_of(design), scales(design, coefficients, alpha=alpha, sigma=sigma)
    if PAIRS[design.kinds].compressible:
        columns_of = partial(exact_columns, conjugate.sums(rows, prior))
    else:
        columns_of = partial(weighted_columns, design, rows, prior)
    shift, effect, weight, evidence, k_hat, ess = (
        np.array(part) for part in zip(*columns_of(np.arctanh(rho), draws, seed))
    )
    _warn(rho, ~(k_hat <= PARETO_K))  # NaN is no pass
    chart = xr.Dataset(
        {
            "effect": (("rho", "draw"), effect),
            "alpha": (("rho", "draw"), shift),
            "log_weight": (("rho", "draw"), weight),
            "log_evidence": ("rho", evidence),
            "pareto_k": ("rho", k_hat),
            "ess": ("rho", ess),
        },
        coords={"rho": rho, "draw": np.arange(draws)},
        attrs={
            "outcome": design.outcome,
            "treatment": design.treatment,
            "outcome_kind": design.outcome_kind,
            "step": design.step,
            "n": design.n,
            "parameters": rows.size,
            "seconds": time.perf_counter() - started,
        },
    )
    chart.attrs |= _pulled(design, rows, prior, columns_of)
    return chart


def column_at_zero(design, *, draws=512, alpha=None, seed=0):
    """How many parameters a map has, and the Pareto k̂ of its column at ρ = 0 alone, of a binary
    response.
    """
    rows, prior = rows_of(design), scales(design, alpha=alpha)
    (column,) = weighted_columns(design, rows, prior, np.zeros(1), draws, seed)
    return rows.size, column[4]


def _pulled(design, rows, prior, columns_of):
    """By how many standard errors the priors move the effect at ρ = 0 from the classical one;
    warned of if it counts.

    That is least squares beside the mean of a column, or for a binary response maximum likelihood
    beside the mode of the posterior: a mean and a mode differ without any prior.
    """
    if "binary" in design.kinds:
        if not finite(design):
            return {}
        classical = maximum_likelihood(design, rho=0.0)
        estimate, se, column = (
            classical.effect,
            classical.effect_se,
            effect_at_rho(design, 0.0, prior),
        )
    else:
        estimate, se = _least_squares(rows)
        alpha, _, weight, *_ = columns_of([0.0], PROBED, 0)[0]
        column = np.exp(weight) @ alpha
    pulled = float((column - estimate) / se)
    if not abs(pulled) <= PULLED:
        arguments.warn(
            f"the priors move the effect at rho = 0 by {abs(pulled):.2f} of its standard error, "
            f"from {estimate:.4g} "
            f"without priors to {column:.4g}; accepted are wider ones, such as the defaults: "
            "alpha=None, "
            "coefficients=unit_information()."
        )
    return {"pulled": pulled}


def _least_squares(rows):
    """α by least squares and its standard error, of compressed rows.

    Their columns are a triangle, whose last row of the outcome's has α alone.
    """
    size = len(rows.names_O)
    own = abs(rows.A[size - 1, -1])
    left = np.sum(rows.y[size:] ** 2) / (rows.n - size)
    return rows.y[size - 1] / rows.A[size - 1, -1], np.sqrt(left) / own


def stepped(attrs):
    """What a table tells of the change in the treatment that its effects are read for:
    nothing of one unit.
    """
    step = attrs.get("step", 1.0)
    return {} if step == 1 else {"treatment": attrs["treatment"], "step": step}


def _warn_long(design, rho, draws):
    """Say how long a map takes, before any work, where columns and rows are very many."""
    m, p = 2 + design.in_outcome.sum() + design.in_treatment.sum(), design.C.shape[1]
    exact = PAIRS[design.kinds].compressible
    n = len(design.y) if exact else design.n
    newton = len(rho) * SQUARED * m**2
    many = n * draws > WORK
    weighed = TRIED[0] if many else draws
    weighed *= len(nodes_of(np.arctanh(rho), many)) * (DRAWN * m + KERNEL[design.outcome_kind])
    # a factor's levels are swept out
    rest = p - max(Counter(terms_of(design)[0]).values(), default=0)
    swept = n * (EXACT * rest**2 + NUMBER * p) + CUBE * p**3
    seconds = swept if exact else n * (newton + weighed)
    warn_long(
        seconds, f"a map of {len(rho)} columns, with {p:,} covariates in {n:,} rows,", not exact
    )


def _warn(rho, bad):
    if bad.any():
        arguments.warn(
            f"Pareto k̂ exceeds {PARETO_K} in {bad.sum()} of {len(bad)} columns, rho "
            f"{stretches(rho, bad)}: "
            "their weighted draws stand for too little, and readings leave them out or refuse. "
            "Accepted are more "
            "draws, fewer terms, tighter priors, or NUTS: fit(joint_model(design, rho=...))."
        )


def _grid(rho):
    """The correlations of a grid, if they are one."""
    found = arguments.numbers(
        rho, "rho", accepted := "a grid of five or more increasing numbers in (-1, 1)"
    )
    if (
        found.ndim != 1
        or len(found) < 5
        or not (np.all(np.abs(found) < 1) and np.all(np.diff(found) > 0))
    ):
        arguments.refuse("rho", rho, accepted)
    return found


def effect_of(map):
    """The effect that is read, (rho, draw): α unless the map has another."""
    return (map.effect if "effect" in map else map.alpha).values


def unreliable(map):
    """Which columns no reading may lean on;
    a Pareto k̂ that is NaN is no better than a large one.
    """
    return ~(map.pareto_k.values <= PARETO_K)


def reweighed(map, old, new):
    """The map under another prior sd of α, weighted by the ratio of the two priors.

    Weights upon weights are judged anew, and no column is more reliable than it was.
    """
    ratio = norm.logpdf(map.alpha.values, 0, new) - norm.logpdf(map.alpha.values, 0, old)
    raw = map.log_weight.values + ratio
    weight, k_hat = (np.array(part) for part in zip(*(smoothed(column) for column in raw)))
    return map.assign(
        log_weight=(("rho", "draw"), weight),
        log_evidence=map.log_evidence + logsumexp(raw, axis=1),
        ess=("rho", 1 / np.exp(2 * weight).sum(axis=1)),
        pareto_k=np.maximum(map.pareto_k, k_hat),
    )


def stretches(rho, bad):
    """Some of a map's columns in words: ``-0.98 to -0.95, 0.29``."""
    places = np.flatnonzero(bad)
    each = [
        rho[run] for run in np.split(places, np.flatnonzero(np.diff(places) > 1) + 1) if len(run)
    ]
    return ", ".join(
        " to ".join(dict.fromkeys(f"{end:.2f}" for end in run[[0, -1]])) for run in each
    )


def trusted(map):
    """The unbroken run of reliable columns around ρ = 0, as a slice; empty where there is none."""
    rho, bad = map.rho.values, unreliable(map)
    return slice(
        max(np.flatnonzero(bad & (rho <= 0)), default=-1) + 1,
        min(np.flatnonzero(bad & (rho >= 0)), default=len(rho)),
    )


def between(rho, low, high):
    """The columns from the last at or below `low` to the first at or above `high`."""
    first, last = rho[rho <= low].max(initial=rho[0]), rho[rho >= high].min(initial=rho[-1])
    return (rho >= first) & (rho <= last)


def refuse_columns(map, bad, where):
    if bad.any():
        raise ValueError(
            f"Pareto k̂ exceeds {PARETO_K} at rho = {np.round(map.rho.values[bad], 2).tolist()}, "
            f"{where}: those columns "
            "are not nearly Gaussian. Accepted are more draws in map_rho, tighter priors, or NUTS: "
            "fit(joint_model(design, rho=...))."
        )


def chart_of(map):
    """The map, if it is one."""
    if not (
        isinstance(map, xr.Dataset)
        and {"alpha", "log_weight", "log_evidence", "pareto_k"} <= set(map)
    ):
        raise TypeError(f"map={arguments.brief(map)}; accepted is a map from map_rho(design).")
    return map
