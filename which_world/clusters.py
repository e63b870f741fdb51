"""Rows that come in clusters: villages, families, visits of one person.

The likelihood counts every row as news. Where the rows of a cluster share what was not measured, in both equations,
its interval is too narrow, at every ρ. Least squares and maximum likelihood take ``cluster=``; the map is drawn again
and again from whole clusters.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from scipy.stats import f, t

from which_world import arguments
from which_world.design import check_rows
from which_world.engine.counterfactual import average_effect
from which_world.engine.laplace import columns
from which_world.engine.likelihoods import Rows, rows_of
from which_world.maps import stepped
from which_world.moments import condensed
from which_world.priors import scales

RHO = tuple(np.tanh(np.linspace(-1.1, 1.1, 9)).round(3))


class Resemblance(NamedTuple):
    """How alike the rows of one cluster are, in what the equations leave.

    `outcome` and `treatment` are intraclass correlations of the residuals, `p` the larger of the two p-values of no
    correlation, `factor` by how much an interval that counts the rows as independent is too narrow at ρ = 0.
    """

    clusters: int
    outcome: float
    treatment: float
    p: float
    factor: float


def resemblance(design, cluster):
    """Whether the rows of a cluster resemble each other in both equations, and what that does to an interval.

    Parameters
    ----------
    design : Design
    cluster : array-like, shape (n,)
        Which cluster each row belongs to.

    Returns
    -------
    Resemblance

    Notes
    -----
    Intraclass correlations by analysis of variance, of the residuals of outcome and treatment on the outcome's
    covariates. The factor is Moulton's: the variance of α grows by 1 + (Var(m)/m̄ + m̄ - 1) times the product of the two,
    for clusters of m rows (Moulton 1986). One equation alone without correlation, and the interval is right.
    """
    codes = arguments.groups(cluster, check_rows(design).n)
    return alike(leftover(design), codes)


def leftover(design):
    """Residuals of the outcome, and of the treatment on the outcome's covariates: (2, n)."""
    rows = Rows.of(condensed(check_rows(design)), compress=False)
    outcome, treatment = (
        np.linalg.lstsq(M, value)[0] for M, value in ((rows.A, rows.y), (rows.A[:, :-1], rows.A[:, -1]))
    )
    return np.array([design.y - _line(design, outcome), design.dose - _line(design, np.r_[treatment, 0.0])])


def _line(design, theta):
    """The outcome's equation in every row, without another copy of its columns."""
    one, used, k = int(design.intercept_O), design.in_outcome, design.moderates.sum()
    beta = np.zeros(len(used))
    beta[used] = theta[one : one + used.sum()]
    return theta[:one].sum() + design.C @ beta + design.dose * (theta[-1] + design.M @ theta[len(theta) - 1 - k : -1])


def alike(residuals, codes):
    """`resemblance`, from the residuals of outcome and treatment."""
    (icc_O, p_O), (icc_T, p_T) = (_intraclass(values, codes) for values in residuals)
    size = np.bincount(codes)
    grown = 1 + (size.var() / size.mean() + size.mean() - 1) * max(icc_T, 0) * max(icc_O, 0)
    return Resemblance(len(size), icc_O, icc_T, max(p_T, p_O), float(np.sqrt(grown)))


def _intraclass(values, codes):
    """The one-way intraclass correlation, and the p-value of its F test."""
    size = np.bincount(codes)
    g, n = len(size), len(codes)
    means = np.bincount(codes, values) / size
    between = size @ (means - values.mean()) ** 2 / (g - 1)
    within = np.sum((values - means[codes]) ** 2) / max(n - g, 1)
    if within <= 0:
        return 1.0, 0.0
    typical = (n - size @ size / n) / (g - 1)
    return float((between - within) / (between + (typical - 1) * within)), float(f.sf(between / within, g - 1, n - g))


def bootstrap_map(design, cluster, *, rho=RHO, replicates=200, probability=0.95, seed=0):
    """The map with intervals for rows in clusters: whole clusters are drawn again, with replacement.

    Parameters
    ----------
    design : Design
    cluster : array-like, shape (n,)
        Which cluster each row belongs to.
    rho : sequence of float in (-1, 1)
    replicates : int
        Sets of clusters; at least 50.
    probability : float
        Of the interval.
    seed : int

    Returns
    -------
    pandas.DataFrame
        By ``rho``: ``mean`` (the effect at the mode of its column), ``se`` (standard deviation over the replicates),
        ``low`` and ``high`` (``mean`` -+ ``se`` times the quantile of a t with G - 1 degrees of freedom, for G
        clusters): what `plot_map` draws.

    Raises
    ------
    ValueError
        When a label is missing, there are fewer than two clusters, or an argument is out of range.

    Notes
    -----
    Columns have the default priors, as in `map_rho`, so a replicate without a rare level stays proper. With fewer than
    some thirty clusters every such interval is too narrow (Cameron & Miller 2015). Runs through joblib: one process
    unless ``joblib.parallel_config`` says otherwise.
    """
    codes = arguments.groups(cluster, check_rows(design).n)
    rho, seed = np.sort(arguments.correlations(rho, "rho")), arguments.seed(seed)
    replicates, probability = arguments.count(replicates, "replicates", least=50), arguments.probability(probability)
    members = pd.Series(np.arange(design.n)).groupby(codes).indices
    prior, fixed = scales(design), replace(design, centre=design.t_mean)

    def draw(rng):
        chosen = np.concatenate([members[k] for k in rng.integers(0, len(members), len(members))])
        return replace(fixed, y=design.y[chosen], t=design.t[chosen], C=design.C[chosen])

    streams = np.random.default_rng(seed).spawn(replicates)
    jobs = (delayed(_effects)(draw(rng), prior, rho) for rng in streams)
    effects, mean = np.array(Parallel()(jobs)), _effects(fixed, prior, rho)
    se = effects.std(axis=0, ddof=1)
    half = t.ppf(0.5 + probability / 2, len(members) - 1) * se
    table = {"mean": mean, "se": se, "low": mean - half, "high": mean + half}
    table = pd.DataFrame(table, index=pd.Index(rho, name="rho"))
    table.attrs = stepped(vars(design))
    return table


def _effects(design, prior, rho):
    """The effect that is read, at the mode of the column of each ρ."""
    a = np.arctanh(rho)
    return average_effect(design, columns(rows_of(design), prior, a).mode, a)
