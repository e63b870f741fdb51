"""Rows that come in clusters: villages, families, visits of one person.

The likelihood counts every row as news. Where the rows of a cluster share what was not measured, in
both equations, its interval is too narrow, at every ρ. Least squares and maximum likelihood take
``cluster=``; the map is drawn again and again from whole clusters.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from joblib import Parallel, delayed
from scipy.stats import f as f_distribution
from scipy.stats import norm, spearmanr
from scipy.stats import t as student

from which_world import arguments
from which_world.design import Design, check_rows
from which_world.engine.counterfactual import average_effect
from which_world.engine.laplace import columns
from which_world.engine.likelihoods import Regressors, Rows, places, rows_of
from which_world.maps import stepped
from which_world.moments import (
    AT_ONCE,
    LEAST_SPARE,
    condensed,
    cuts,
    level_means,
    on_one_thread,
    one_factor,
)
from which_world.priors import Scales, scales

NINE_RHO = tuple(np.tanh(np.linspace(-1.1, 1.1, 9)).round(3))
FEWEST_REPLICATES = 50


class Resemblance(NamedTuple):
    """How alike the rows of one cluster are, in what the equations leave.

    Attributes
    ----------
    clusters : int
        How many there are.
    outcome, treatment : float
        Intraclass correlations of the residuals.
    p : float
        The larger of the two p-values of no correlation.
    factor : float
        By how much an interval that counts the rows as independent is too narrow at ρ = 0.
    """

    clusters: int
    outcome: float
    treatment: float
    p: float
    factor: float


class Growth(NamedTuple):
    """By what `factor` an error that asks less exceeds the usual one of least squares.

    `p` is the p-value of there being nothing that makes it grow.
    """

    factor: float
    p: float


@on_one_thread
def resemblance(design: Design, cluster: npt.ArrayLike) -> Resemblance:
    """How alike the rows of a cluster are in both equations, and what that does to an interval.

    Parameters
    ----------
    design : Design
    cluster : array-like, shape (n,)
        Which cluster each row belongs to.

    Returns
    -------
    Resemblance
        ``clusters``, the intraclass correlations ``outcome`` and ``treatment``, ``p`` and
        ``factor``.

    Raises
    ------
    ValueError
        When a label is missing, or there are fewer than two clusters.

    See Also
    --------
    bootstrap_map : intervals that count clusters.
    ols : with ``cluster=``, the same for least squares.

    Notes
    -----
    Intraclass correlations by analysis of variance, of the residuals of outcome and treatment on
    the outcome's covariates. The factor is Moulton's: the variance of α grows by 1 + (Var(m)/m̄ + m̄
    - 1) times the product of the two, for clusters of m rows (Moulton 1986). One equation alone
    without correlation, and the interval is right.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from which_world import make_design, resemblance
    >>> rng = np.random.default_rng(0)
    >>> village = np.repeat(np.arange(40), 10)
    >>> shared_t, shared_y = rng.normal(size=(2, 40))[:, village]
    >>> x, v, u = rng.normal(size=(3, 400))
    >>> t = x + v + shared_t
    >>> data = pd.DataFrame({"x": x, "t": t, "y": 2 * t + x + u + shared_y})
    >>> design = make_design(data, outcome="y ~ t + x", treatment="t ~ x")
    >>> found = resemblance(design, village)
    >>> print(found.clusters, found.p < 0.001, found.factor > 1.5)
    40 True True
    """
    codes = arguments.groups(cluster, check_rows(design).n)
    return resemblance_of(both_residuals(design), codes)


def both_residuals(design: Design) -> np.ndarray:
    """Residuals of the outcome, and of the treatment on the outcome's covariates: (2, n)."""
    if "residuals" not in design.kept:  # whatever looks at the errors looks at these
        design.kept["residuals"] = _both_residuals(design)
    return design.kept["residuals"]


def _both_residuals(design):
    """`both_residuals`, worked out."""
    rows = Rows.of(condensed(check_rows(design)), compress=False)
    theta, *_ = np.linalg.lstsq(rows.A, rows.y)
    theta_T, *_ = np.linalg.lstsq(rows.A[:, :-1], rows.A[:, -1])
    line = _outcome_line(design, theta)
    line_T = _outcome_line(design, np.r_[theta_T, 0.0])
    return np.array([design.y - line, design.dose - line_T])


def _outcome_line(design, theta):
    """The outcome's equation in every row, without another copy of its columns."""
    one, used, k = int(design.intercept_O), design.in_outcome, design.moderates.sum()
    beta = np.zeros(len(used))
    beta[used] = theta[one : one + used.sum()]
    delta, alpha = theta[len(theta) - 1 - k : -1], theta[-1]
    return theta[:one].sum() + design.C @ beta + design.dose * (alpha + design.M @ delta)


def resemblance_of(residuals: np.ndarray, codes: np.ndarray) -> Resemblance:
    """`resemblance`, from the residuals of outcome and treatment, (2, n)."""
    (icc_O, p_O), (icc_T, p_T) = (_intraclass(values, codes) for values in residuals)
    size = np.bincount(codes)
    alike = size.var() / size.mean() + size.mean() - 1  # other rows of a row's own cluster
    factor = np.sqrt(1 + alike * max(icc_T, 0) * max(icc_O, 0))
    return Resemblance(len(size), icc_O, icc_T, max(p_T, p_O), float(factor))


def _intraclass(values, codes):
    """The one-way intraclass correlation, and the p-value of its F test."""
    size = np.bincount(codes)
    clusters, n = len(size), len(codes)
    means = np.bincount(codes, values) / size
    between = size @ (means - values.mean()) ** 2 / (clusters - 1)
    within = np.sum((values - means[codes]) ** 2) / max(n - clusters, 1)
    if within <= 0:
        return 1.0, 0.0
    typical = (n - size @ size / n) / (clusters - 1)
    correlation = (between - within) / (between + (typical - 1) * within)
    p = f_distribution.sf(between / within, clusters - 1, n - clusters)
    return float(correlation), float(p)


def grown_by_groups(design: Design, codes: np.ndarray, absorbed: int = 0) -> Growth:
    """How much the effect's least-squares error grows if whole groups are counted, not rows.

    `codes`, (n,), has the group of each row, from 0; `absorbed` is how many of the outcome
    equation's columns are constants for these groups, which the clustered error does not count
    among its parameters (Cameron & Miller 2015). The `factor` is the clustered error (Liang & Zeger
    1986, with statsmodels' correction) over the usual one; of a binary outcome, whose spread is
    uneven by nature, over the one that allows for that. `p` is of no covariance of scores within
    groups, the score-variance test of MacKinnon, Nielsen & Webb 2023 with the squares of HC3, which
    constants for the groups leave as they are.
    """
    u, left = both_residuals(design)
    alone, usual = _scores(design), u @ u * (left @ left) / counted(design, absorbed)
    if design.outcome_kind == "binary":
        usual = alone @ alone
    return summed_by_groups(u * left, codes, alone, usual)


def counted(design: Design, absorbed: int) -> float:
    """The rows and coefficients that statsmodels' clustered error counts, and the usual does not.

    `absorbed` is as in `grown_by_groups`.
    """
    n, k = design.n, _parameters(design)
    return (n - 1) * (n - k) / (n - k + absorbed)


def summed_by_groups(
    scores: np.ndarray, codes: np.ndarray, alone: np.ndarray, usual: float
) -> Growth:
    """How much an error grows if its scores, (n,), are summed over groups before they are squared.

    `alone` are the scores whose squares the test takes for those of rows without company, and
    `usual` is the sum of squares of the usual error.
    """
    sums = np.bincount(codes, scores)
    squares, fourths = (np.bincount(codes, alone**power) for power in (2, 4))
    variance = len(sums) / (len(sums) - 1) * (sums @ sums) / usual
    spread = np.sqrt(2 * np.sum(squares**2 - fourths).clip(1e-300))
    return Growth(float(np.sqrt(variance)), float(norm.sf((sums @ sums - squares.sum()) / spread)))


def grown_by_spread(design: Design) -> Growth:
    """How much a continuous outcome's least-squares error grows if the spread of U may be uneven.

    The `factor` is the error HC3 (MacKinnon & White 1985) over the usual one; `p` is of the spread
    being no larger where the treatment is far from its line, by ranks (Spearman's).
    """
    u, left = both_residuals(design)
    scores = _scores(design)
    variance = (len(u) - _parameters(design)) * (scores @ scores) / (u @ u * (left @ left))
    rising = spearmanr(np.abs(left), np.abs(u), alternative="greater")
    return Growth(float(np.sqrt(variance)), float(rising.pvalue))


def _parameters(design):
    """How many columns the outcome equation has."""
    return int(design.intercept_O) + design.in_outcome.sum() + design.moderates.sum() + 1


def _scores(design):
    """What each row adds to the effect's equation, its error as it is without that row."""
    if "scores" not in design.kept:
        u, left = both_residuals(design)
        spare = 1 - _leverage(design)
        design.kept["scores"] = np.divide(
            u * left, spare, out=np.zeros(len(u)), where=spare > LEAST_SPARE
        )
    return design.kept["scores"]


def _leverage(design):
    """How much of each row's fitted outcome is its own."""
    C = design.C[:, places(design.in_outcome)]
    factor = one_factor(C) if design.intercept_O else None
    if factor is not None:  # each level's constant is a mean
        level, others = factor
        dose = design.dose[:, None]
        rest = np.hstack([C[:, others], design.M * dose, dose])
        Q, _ = np.linalg.qr(rest - level_means(rest, level)[level])
        return 1 / np.bincount(level)[level] + (Q**2).sum(axis=1)
    A = Regressors.of(design, "outcome")
    # of few rows that stand for all, the triangle is that of all
    few = Rows.of(condensed(design), compress=False).A
    root = np.linalg.inv(np.linalg.qr(few, mode="r")) * np.sqrt(len(few) / design.n)
    return np.concatenate([((A[cut] @ root) ** 2).sum(1) for cut in cuts(design.n, AT_ONCE)])


@on_one_thread
def bootstrap_map(
    design: Design,
    cluster: npt.ArrayLike,
    *,
    rho: npt.ArrayLike = NINE_RHO,
    replicates: int = 200,
    probability: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """The effect at every ρ with intervals for rows in clusters, by drawing whole clusters again.

    Parameters
    ----------
    design : Design
    cluster : array-like, shape (n,)
        Which cluster each row belongs to.
    rho : sequence of float in (-1, 1)
    replicates : int
        Sets of clusters, drawn with replacement; at least 50.
    probability : float
        Of the interval.
    seed : int

    Returns
    -------
    pandas.DataFrame
        By ``rho``: ``mean`` (the effect at the mode of its column), ``se`` (standard deviation over
        the replicates), ``low`` and ``high`` (``mean`` -+ ``se`` times the quantile of a t with G -
        1 degrees of freedom, for G clusters): what `plot_map` draws.

    Raises
    ------
    ValueError
        When a label is missing, there are fewer than two clusters, or an argument is out of range.

    See Also
    --------
    resemblance : whether rows of a cluster are alike at all.
    map_rho, read_map : the map whose rows are independent.

    Notes
    -----
    Columns have the default priors, as in `map_rho`, so a replicate without a rare level stays
    proper. With fewer than some thirty clusters every such interval is too narrow (Cameron & Miller
    2015). Runs through joblib: one process unless ``joblib.parallel_config`` says otherwise.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from which_world import bootstrap_map, make_design
    >>> rng = np.random.default_rng(0)
    >>> village = np.repeat(np.arange(40), 10)
    >>> x, v, u = rng.normal(size=(3, 400)) + rng.normal(size=(3, 40))[:, village]
    >>> data = pd.DataFrame({"x": x, "t": x + v, "y": 2 * (x + v) + x + u})
    >>> design = make_design(data, outcome="y ~ t + x", treatment="t ~ x")
    >>> table = bootstrap_map(design, village, rho=[0.0, 0.3], replicates=50)
    >>> print(table["mean"].round(1).to_dict(), (table["se"] > 0.06).all())
    {0.0: 2.0, 0.3: 1.7} True
    """
    codes = arguments.groups(cluster, check_rows(design).n)
    grid, seed = np.sort(arguments.correlations(rho, "rho")), arguments.seed(seed)
    replicates = arguments.count(replicates, "replicates", least=FEWEST_REPLICATES)
    probability = arguments.probability(probability)
    members = pd.Series(np.arange(design.n)).groupby(codes).indices
    prior, fixed = scales(design), replace(design, centre=design.t_mean)

    def drawn_again(rng):
        labels = rng.integers(0, len(members), len(members))
        chosen = np.concatenate([members[label] for label in labels])
        return replace(fixed, y=design.y[chosen], t=design.t[chosen], C=design.C[chosen])

    streams = np.random.default_rng(seed).spawn(replicates)
    jobs = (delayed(_effects)(drawn_again(rng), prior, grid) for rng in streams)
    effects, mean = np.array(Parallel()(jobs)), _effects(fixed, prior, grid)
    se = effects.std(axis=0, ddof=1)
    half = student.ppf(0.5 + probability / 2, len(members) - 1) * se
    summary = {"mean": mean, "se": se, "low": mean - half, "high": mean + half}
    table = pd.DataFrame(summary, index=pd.Index(grid, name="rho"))
    table.attrs = stepped(vars(design))
    return table


def _effects(design: Design, prior: Scales, rho: np.ndarray) -> np.ndarray:
    """The effect that is read, at the mode of the column of each ρ."""
    a = np.arctanh(rho)
    return average_effect(design, columns(rows_of(design), prior, a).mode, a)
