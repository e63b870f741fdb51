"""Variable-selection priors: the sieve (spike and slab), the funnel (horseshoe), and plain exclusion.

All are values that `joint_model` takes as ``coefficients``. The sieve and the funnel are scale mixtures of
normals, β ~ Σ wᵢ Normal(0, sᵢ), with everything discrete or local summed out, so that a gradient exists.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from scipy.special import ndtri
from scipy.stats import norm

from helpers.columns import start
from helpers.priors import Normal, check_positive, normal

NODES = 32  # of the half-Cauchy's quadrature


class Equation(NamedTuple):
    """What a prior over coefficients may lean on: one equation's label, size and scales.

    ``sd`` is the response's; ``sigma`` the error's, a variable of the model for an outcome; ``resolution`` the
    smallest difference the data can tell, s/√n with s the least-squares error sd: one standard error of a
    coefficient.
    """

    label: str
    covariates: int
    n: int
    sd: float
    sigma: object
    resolution: float


@dataclass(frozen=True)
class SpikeAndSlab:
    """A sieve; see `spike_and_slab`."""

    inclusion: tuple | float = (1.0, 1.0)
    size: float | None = None
    slab: float = 1.0
    spike: float = 0.25

    def beta(self, name, equation, **size):
        """β inside a model context, and what else is told of each coefficient."""
        share = self.inclusion if self.size is None else (1.0, _others(self.size, equation, "size") / self.size)
        if isinstance(share, tuple):
            share = pm.Beta(f"inclusion_{equation.label}", *share)
        spreads = np.array([self.spike * equation.resolution, self.slab * equation.sd])
        beta = pm.NormalMixture(name, w=pt.stack([1 - share, share]), mu=0.0, sigma=spreads, **size)
        narrow, wide = (pm.logp(pm.Normal.dist(0.0, s), beta) for s in spreads)
        log_odds = pt.log(share) - pt.log1p(-share) + wide - narrow
        return beta, {"included": pt.sigmoid(log_odds)}


def spike_and_slab(*, inclusion=(1.0, 1.0), size=None, slab=1.0, spike=0.25):
    """The sieve: every coefficient of both equations is zero or free, and the data choose.

    Parameters
    ----------
    inclusion : pair of float, or float
        Prior of the inclusion probability π of each equation: Beta(a, b), or a fixed number. The default
        Beta(1, 1) makes every model *size* equally likely beforehand. A symmetric Beta(2, 2), let alone a
        fixed 0.5, says that about half of the covariates matter (Ley & Steel 2009).
    size : float, optional
        The number of covariates expected to matter in an equation, instead of `inclusion`:
        π ~ Beta(1, (p - size)/size), whose mean is size/p.
    slab : float
        Prior sd of a free coefficient, in standard deviations of the response, for one of its covariate.
    spike : float
        Prior sd of a coefficient called zero, in standard errors s/√n.

    Notes
    -----
    A point mass at zero has no gradient, so the spike is a normal narrower than the data can resolve. At the
    default, a quarter of a standard error, the data cannot tell it from a point: the posterior differs from the
    exact one over all models by little, and by less the narrower the spike, which the tests show. The model's
    ``included_O`` and ``included_T`` give each draw's probability that a coefficient came from the slab; their
    means are the posterior inclusion probabilities.

    Raises
    ------
    ValueError
        When a probability lies outside (0, 1), or a scale is not positive.

    References
    ----------
    Mitchell & Beauchamp 1988; George & McCulloch 1993; Ley & Steel 2009 (prior of the model size).
    """
    check_positive(slab=slab, spike=spike, size=size)
    if np.ndim(inclusion) == 1 and len(inclusion) == 2:
        check_positive(**{"inclusion[0]": inclusion[0], "inclusion[1]": inclusion[1]})
        return SpikeAndSlab(tuple(map(float, inclusion)), size, slab, spike)
    if not (np.isscalar(inclusion) and 0 < inclusion < 1):
        raise ValueError(
            f"inclusion={inclusion!r}; accepted are a pair (a, b) of a Beta distribution, or a number in (0, 1)."
        )
    return SpikeAndSlab(float(inclusion), size, slab, spike)


@dataclass(frozen=True)
class Horseshoe:
    """A funnel; see `horseshoe`."""

    p0: float | None = None
    slab: float = 1.0
    nu: float = 4.0

    def beta(self, name, equation, **size):
        """β inside a model context, and what else is told of each coefficient."""
        p0 = equation.covariates / 4 if self.p0 is None else self.p0
        scale = p0 / _others(p0, equation, "p0") * equation.sigma / np.sqrt(equation.n)
        tau = pm.HalfStudentT(f"tau_{equation.label}", nu=1, sigma=scale)
        slab = self.nu / 2 * (self.slab * equation.sd) ** 2
        c2 = pm.InverseGamma(f"c2_{equation.label}", self.nu / 2, slab)
        local, weight = half_cauchy_nodes()
        spreads = tau * local * pt.sqrt(c2 / (c2 + tau**2 * local**2))
        beta = pm.NormalMixture(name, w=weight, mu=0.0, sigma=spreads, **size)
        return beta, {}


def horseshoe(*, p0=None, slab=1.0, nu=4.0):
    """The funnel: a regularised horseshoe, which shrinks the weak coefficients and leaves the strong ones.

    Parameters
    ----------
    p0 : float, optional
        How many covariates of an equation are thought to matter; left out, a quarter of them. With p
        covariates, τ ~ HalfStudentT(1, τ₀) with τ₀ = p0/(p - p0) · σ/√n.
    slab : float
        Scale of the slab that even the strong coefficients feel, in standard deviations of the response, for
        one of its covariate.
    nu : float
        Its degrees of freedom: c² ~ InverseGamma(ν/2, ν slab²/2).

    Notes
    -----
    βⱼ ~ Normal(0, τ λ̃ⱼ) with λ̃² = c²λ²/(c² + τ²λ²) and λⱼ half-Cauchy. λⱼ is integrated out on Gauss-Legendre
    nodes of its distribution function, so the model has β, τ and c² alone: no funnel of λ against β for a
    sampler to fall into. α and the intercepts stand outside. σ is σ_U for the outcome, σ_V for a continuous
    treatment, and for a probit index the pseudo error sd √(Φ(1-Φ))/φ at the share treated. p0 counts as at most
    p - ½ in the formula, so that p0 = p is allowed and gives hardly any shrinkage.

    Raises
    ------
    ValueError
        When a scale is not positive, or `p0` exceeds the number of covariates.

    References
    ----------
    Piironen & Vehtari 2017 (EJS 11:5018), eqs 2.8 and 3.12.
    """
    check_positive(p0=p0, slab=slab, nu=nu)
    return Horseshoe(p0, slab, nu)


def half_cauchy_nodes(count=NODES):
    """Values of a half-Cauchy variable and their weights: Gauss-Legendre on its distribution function."""
    node, weight = np.polynomial.legendre.leggauss(count)
    return np.tan(np.pi / 4 * (node + 1)), weight / 2


def _others(wanted, equation, argument):
    """p less the number of covariates that matter, and never quite zero."""
    if wanted > equation.covariates:
        raise ValueError(
            f"{argument}={wanted:g}, but equation {equation.label} has {equation.covariates} covariates; accepted is "
            "a number of covariates between 0 and that."
        )
    return max(equation.covariates - wanted, 0.5)


@dataclass(frozen=True)
class Excluded:
    """Covariates kept out of the outcome equation; see `excluded`."""

    names: tuple
    others: object = Normal()


def excluded(names, *, others=None):
    """An exclusion restriction by name: these covariates move the outcome only through the treatment.

    Parameters
    ----------
    names : sequence of str
        Covariates whose β_O is exactly zero. The same as leaving their terms out of the outcome formula.
    others : coefficient prior, optional
        Of all other coefficients: `normal` (the default), `spike_and_slab` or `horseshoe`.

    Raises
    ------
    ValueError
        When no name is given; by `joint_model`, when a name is no covariate of the treatment equation.
    """
    names = (names,) if isinstance(names, str) else tuple(names)
    if not names:
        raise ValueError("names is empty; accepted are the names of covariates to keep out of the outcome equation.")
    return Excluded(names, normal() if others is None else others)


def restrict(design, coefficients):
    """The design and the prior that an exclusion restriction leaves; any other prior leaves both alone."""
    if not isinstance(coefficients, Excluded):
        return design, coefficients
    usable = np.array(design.covariates, dtype=object)[design.in_treatment]
    strangers = [name for name in coefficients.names if name not in usable]
    if strangers:
        raise ValueError(
            f"excluded({strangers}) names no covariate of the treatment equation; accepted are {list(usable)}."
        )
    out = np.isin(design.covariates, coefficients.names)
    return restrict(replace(design, in_outcome=design.in_outcome & ~out), coefficients.others)


def equations(design, sd_T, sigma_U, sigma_V):
    """What each equation tells its coefficients' prior; σ_U and σ_V may be variables of a model."""
    rows = design.rows
    theta = start(rows)
    _, log_s_U, _, log_s_V = rows.split(theta)
    root_n = np.sqrt(design.n)
    s_T, sigma_T = np.exp(log_s_V), sigma_V
    if design.kind == "binary":
        share = design.t.mean()
        s_T = sigma_T = np.sqrt(share * (1 - share)) / norm.pdf(ndtri(share))
    outcome = Equation("O", int(design.in_outcome.sum()), design.n, design.y.std(), sigma_U, np.exp(log_s_U) / root_n)
    treatment = Equation("T", int(design.in_treatment.sum()), design.n, sd_T, sigma_T, s_T / root_n)
    return outcome, treatment
