"""Variable-selection priors: the sieve (spike and slab), the funnel (horseshoe), and plain exclusion.

All are values that `joint_model` takes as ``coefficients``. Given each coefficient's own spread the sieve and the
funnel are normal priors: a spread of zero or of the slab for the sieve, τλ̃ for the funnel. `fit` samples these
spreads.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from which_world import arguments
from which_world.engine.laplace import start
from which_world.engine.likelihoods import rows_of
from which_world.priors import Normal, UnitInformation, index_sd, unit_information


class Equation(NamedTuple):
    """What a prior over coefficients may lean on: one equation's label, size and scales.

    ``sd`` is the response's; ``noise`` the least-squares error sd, with which the coefficients are known.
    """

    label: str
    covariates: int
    n: int
    sd: float
    noise: float


@dataclass(frozen=True)
class SpikeAndSlab:
    """A sieve; see `spike_and_slab`."""

    inclusion: tuple | float = (1.0, 1.0)
    size: float | None = None
    slab: float = 1.0

    def beta(self, equation, dims):
        """β of one equation, inside a model context."""
        import pymc as pm

        e = equation.label
        share = self.inclusion if self.size is None else (1.0, _others(self.size, equation, "size") / self.size)
        if isinstance(share, tuple):
            share = pm.Beta(f"inclusion_{e}", *share)
        included = pm.Bernoulli(f"included_{e}", share, dims=dims)
        return included * pm.Normal(f"slab_{e}", 0.0, self.slab * equation.sd, dims=dims)


def spike_and_slab(*, inclusion=(1.0, 1.0), size=None, slab=1.0):
    """The sieve: every coefficient of both equations is exactly zero or free, and the data choose.

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

    Notes
    -----
    βⱼ = γⱼ bⱼ with γⱼ ~ Bernoulli(π) and bⱼ ~ Normal(0, slab): a point mass at zero, since a posterior inclusion
    probability belongs to nothing less. The means of ``included_O`` and ``included_T`` are these probabilities.
    A narrow normal instead of the point would give NUTS a gradient, and a density with cliffs to climb; `fit`
    samples the γ themselves, with the coefficients and ρ summed out (`which_world.engine.sparse_gibbs`).

    Raises
    ------
    ValueError
        When a probability lies outside (0, 1), or a scale is not positive.

    References
    ----------
    Mitchell & Beauchamp 1988; George & McCulloch 1993; Ley & Steel 2009 (prior of the model size).
    """
    slab, size = arguments.positive(slab, "slab"), arguments.optional(arguments.positive, size, "size")
    inclusion = inclusion.tolist() if isinstance(inclusion, np.ndarray) else inclusion
    if isinstance(inclusion, (list, tuple)) and len(inclusion) == 2:
        pair = tuple(arguments.positive(each, f"inclusion[{k}]") for k, each in enumerate(inclusion))
        return SpikeAndSlab(pair, size, slab)
    accepted = "a pair (a, b) of a Beta distribution, or a number in (0, 1)"
    return SpikeAndSlab(arguments.number(inclusion, "inclusion", low=0, high=1, accepted=accepted), size, slab)


@dataclass(frozen=True)
class Horseshoe:
    """A funnel; see `horseshoe`."""

    p0: float | None = None
    slab: float = 1.0
    nu: float = 4.0

    def beta(self, equation, dims):
        """β of one equation, inside a model context."""
        import pymc as pm
        import pytensor.tensor as pt

        e = equation.label
        p0 = equation.covariates / 4 if self.p0 is None else self.p0
        tau_0 = p0 / _others(p0, equation, "p0") * equation.noise / np.sqrt(equation.n)
        tau = pm.HalfCauchy(f"tau_{e}", tau_0)
        c2 = pm.InverseGamma(f"c2_{e}", self.nu / 2, self.nu / 2 * (self.slab * equation.sd) ** 2)
        local = pm.HalfCauchy(f"lambda_{e}", 1.0, dims=dims)
        return pm.Normal(f"z_{e}", 0.0, 1.0, dims=dims) * tau * local * pt.sqrt(c2 / (c2 + tau**2 * local**2))


def horseshoe(*, p0=None, slab=1.0, nu=4.0):
    """The funnel: a regularised horseshoe, which shrinks the weak coefficients and leaves the strong ones.

    Parameters
    ----------
    p0 : float, optional
        How many covariates of an equation are thought to matter; left out, a quarter of them. With p
        covariates, τ ~ HalfCauchy(τ₀) with τ₀ = p0/(p - p0) · s/√n.
    slab : float
        Scale of the slab that even the strong coefficients feel, in standard deviations of the response, for
        one of its covariate.
    nu : float
        Its degrees of freedom: c² ~ InverseGamma(ν/2, ν slab²/2).

    Notes
    -----
    βⱼ = zⱼ τ λ̃ⱼ with zⱼ standard normal, λ̃² = c²λ²/(c² + τ²λ²) and λⱼ half-Cauchy. α and the intercepts stand
    outside. s is the residual sd of least squares, s/√n therefore about one standard error of a coefficient; for a
    probit index it is the pseudo error sd √(Φ(1-Φ))/φ at the share of ones. It is a number and not the parameter
    σ_U, which grows with |ρ|: a shrinkage that loosens with ρ would be a prior over ρ in disguise. p0 counts as at
    most p - ½ in the formula, so that p0 = p is allowed and gives hardly any shrinkage.

    Raises
    ------
    ValueError
        When a scale is not positive, or `p0` exceeds the number of covariates (by `joint_model`).

    References
    ----------
    Piironen & Vehtari 2017 (EJS 11:5018), eqs 2.8 and 3.12.
    """
    p0 = arguments.optional(arguments.positive, p0, "p0")
    return Horseshoe(p0, arguments.positive(slab, "slab"), arguments.positive(nu, "nu"))


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
    others: object = UnitInformation()


def excluded(names, *, others=None):
    """An exclusion restriction by name: these covariates move the outcome only through the treatment.

    Parameters
    ----------
    names : sequence of str
        Covariates whose β_O is exactly zero. The same as leaving their terms out of the outcome formula.
    others : coefficient prior, optional
        Of all other coefficients: `unit_information` (the default), `normal`, `spike_and_slab` or `horseshoe`.

    Raises
    ------
    ValueError
        When no name is given; by `joint_model`, when a name is no covariate of the treatment equation.
    """
    accepted = "names of covariates to keep out of the outcome equation, such as ['price82']"
    found = arguments.listed([names] if isinstance(names, str) else names, "names", accepted, kind=str, least=1)
    if not all(found):
        arguments.refuse("names", names, accepted)
    others = unit_information() if others is None else check_coefficients(others, "others", LINEAR)
    return Excluded(tuple(found), others)


LINEAR = {"unit_information": UnitInformation, "normal": Normal, "spike_and_slab": SpikeAndSlab, "horseshoe": Horseshoe}
EVERY = LINEAR | {"excluded": Excluded}


def check_coefficients(value, name="coefficients", kinds=EVERY):
    """A prior over coefficients, if it is one."""
    if not isinstance(value, tuple(kinds.values())):
        *first, last = (f"{kind}(...)" for kind in kinds)
        raise TypeError(
            f"{name}={arguments.told(value)} is no prior over coefficients; accepted is {', '.join(first)} or {last}."
        )
    return value


def restrict(design, coefficients):
    """The design and the prior that an exclusion restriction leaves; any other prior leaves both alone."""
    if not isinstance(check_coefficients(coefficients), Excluded):
        return design, coefficients
    usable = np.array(design.covariates, dtype=object)[design.in_treatment]
    strangers = [name for name in coefficients.names if name not in usable]
    if strangers:
        raise ValueError(
            f"excluded({strangers}) names no covariate of the treatment equation; accepted are {list(usable)}."
        )
    out = np.isin(design.covariates, coefficients.names)
    return restrict(replace(design, in_outcome=design.in_outcome & ~out), coefficients.others)


def equations(design):
    """What each equation tells its coefficients' prior."""
    rows = rows_of(design)
    _, log_s_U, _, log_s_V = rows.split(start(rows))
    scales = [
        (1.0, index_sd(response.mean())) if kind == "binary" else (response.std(), float(np.exp(log_s)))
        for kind, response, log_s in zip(design.kinds, (design.y, design.t), (log_s_U, log_s_V))
    ]
    counts = int(design.in_outcome.sum()), int(design.in_treatment.sum())
    return tuple(Equation(label, p, design.n, *pair) for label, p, pair in zip("OT", counts, scales))
