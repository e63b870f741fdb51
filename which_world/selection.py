"""Priors that select variables: the sieve (spike and slab), the funnel (horseshoe), exclusion.

All are values that `joint_model` takes as ``coefficients``. Given each coefficient's own spread the
sieve and the funnel are normal priors: a spread of zero or of the slab for the sieve, τλ̃ for the
funnel. `fit` samples these spreads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from which_world import arguments
from which_world.design import Design
from which_world.engine.laplace import start
from which_world.engine.likelihoods import rows_of
from which_world.priors import Normal, UnitInformation, index_sd, unit_information

if TYPE_CHECKING:
    from pytensor.tensor.variable import TensorVariable


class EquationSummary(NamedTuple):
    """What a prior over coefficients may lean on: one equation's label, size and scales.

    ``sd`` is the response's; ``noise`` the least-squares error sd, with which the coefficients are
    known.
    """

    label: str
    covariates: int
    n: int
    sd: float
    noise: float


@dataclass(frozen=True)
class SpikeAndSlab:
    """A sieve; see `spike_and_slab`."""

    inclusion: tuple[float, float] | float = (1.0, 1.0)
    size: float | None = None
    slab: float = 1.0

    def beta(self, equation: EquationSummary, dims: str) -> TensorVariable:
        """β of one equation, inside a model context."""
        import pymc as pm

        label, inclusion = equation.label, self.inclusion
        if self.size is not None:
            inclusion = 1.0, _remaining(self.size, equation, "size") / self.size
        if isinstance(inclusion, tuple):
            inclusion = pm.Beta(f"inclusion_{label}", *inclusion)
        included = pm.Bernoulli(f"included_{label}", inclusion, dims=dims)
        return included * pm.Normal(f"slab_{label}", 0.0, self.slab * equation.sd, dims=dims)


def spike_and_slab(
    *,
    inclusion: tuple[float, float] | float = (1.0, 1.0),
    size: float | None = None,
    slab: float = 1.0,
) -> SpikeAndSlab:
    """The sieve: every coefficient of both equations is exactly zero or free, and the data choose.

    Parameters
    ----------
    inclusion : pair of float, or float
        Prior of the inclusion probability π of each equation: Beta(a, b), or a fixed number. The
        default Beta(1, 1) makes every model *size* equally likely beforehand. A symmetric Beta(2,
        2), let alone a fixed 0.5, says that about half of the covariates matter (Ley & Steel 2009).
    size : float, optional
        The number of covariates expected to matter in an equation, instead of `inclusion`:
        π ~ Beta(1, (p - size)/size), whose mean is size/p.
    slab : float
        Prior sd of a free coefficient, in standard deviations of the response, for one of its
        covariate.

    Notes
    -----
    βⱼ = γⱼ bⱼ with γⱼ ~ Bernoulli(π) and bⱼ ~ Normal(0, slab): a point mass at zero, since a
    posterior inclusion probability belongs to nothing less. The means of ``included_O`` and
    ``included_T`` are these probabilities. A narrow normal instead of the point would give NUTS a
    gradient, and a density with cliffs to climb; `fit` samples the γ themselves, with the
    coefficients and ρ summed out (`which_world.engine.sparse_gibbs`).

    Raises
    ------
    ValueError
        When a probability lies outside (0, 1), or a scale is not positive.

    References
    ----------
    Mitchell & Beauchamp 1988; George & McCulloch 1993; Ley & Steel 2009 (prior of the model size).

    See Also
    --------
    horseshoe : shrinks the weak coefficients, and none to zero.
    joint_model : takes it as ``coefficients``.

    Examples
    --------
    >>> from which_world import spike_and_slab
    >>> spike_and_slab(size=3)
    SpikeAndSlab(inclusion=(1.0, 1.0), size=3.0, slab=1.0)
    >>> spike_and_slab(inclusion=0.2, slab=0.5)
    SpikeAndSlab(inclusion=0.2, size=None, slab=0.5)
    """
    slab = arguments.positive(slab, "slab")
    size = arguments.optional(arguments.positive, size, "size")
    return SpikeAndSlab(_check_inclusion(inclusion), size, slab)


def _check_inclusion(inclusion: Any) -> tuple[float, float] | float:
    """A pair of positive numbers, or a number in (0, 1)."""
    inclusion = inclusion.tolist() if isinstance(inclusion, np.ndarray) else inclusion
    if isinstance(inclusion, (list, tuple)) and len(inclusion) == 2:
        a, b = inclusion
        return arguments.positive(a, "inclusion[0]"), arguments.positive(b, "inclusion[1]")
    accepted = "a pair (a, b) of a Beta distribution, or a number in (0, 1)"
    return arguments.number(inclusion, "inclusion", low=0, high=1, accepted=accepted)


@dataclass(frozen=True)
class Horseshoe:
    """A funnel; see `horseshoe`."""

    p0: float | None = None
    slab: float = 1.0
    nu: float = 4.0

    def beta(self, equation: EquationSummary, dims: str) -> TensorVariable:
        """β of one equation, inside a model context."""
        import pymc as pm
        import pytensor.tensor as pt

        label, half_nu = equation.label, self.nu / 2
        p0 = equation.covariates / 4 if self.p0 is None else self.p0
        tau_0 = p0 / _remaining(p0, equation, "p0") * equation.noise / np.sqrt(equation.n)
        tau = pm.HalfCauchy(f"tau_{label}", tau_0)
        c2 = pm.InverseGamma(f"c2_{label}", half_nu, half_nu * (self.slab * equation.sd) ** 2)
        local = pm.HalfCauchy(f"lambda_{label}", 1.0, dims=dims)
        z = pm.Normal(f"z_{label}", 0.0, 1.0, dims=dims)
        return z * tau * local * pt.sqrt(c2 / (c2 + tau**2 * local**2))


def horseshoe(*, p0: float | None = None, slab: float = 1.0, nu: float = 4.0) -> Horseshoe:
    """The funnel: a regularised horseshoe, which shrinks weak coefficients and leaves strong ones.

    Parameters
    ----------
    p0 : float, optional
        How many covariates of an equation are thought to matter; left out, a quarter of them. With
        p covariates, τ ~ HalfCauchy(τ₀) with τ₀ = p0/(p - p0) · s/√n.
    slab : float
        Scale of the slab that even the strong coefficients feel, in standard deviations of the
        response, for one of its covariate.
    nu : float
        Its degrees of freedom: c² ~ InverseGamma(ν/2, ν slab²/2).

    Notes
    -----
    βⱼ = zⱼ τ λ̃ⱼ with zⱼ standard normal, λ̃² = c²λ²/(c² + τ²λ²) and λⱼ half-Cauchy. α and the
    intercepts stand outside. s is the residual sd of least squares, s/√n therefore about one
    standard error of a coefficient; for a probit index it is the pseudo error sd √(Φ(1-Φ))/φ at the
    share of ones. It is a number and not the parameter σ_U, which grows with |ρ|: a shrinkage that
    loosens with ρ would be a prior over ρ in disguise. p0 counts as at most p - ½ in the formula,
    so that p0 = p is allowed and gives hardly any shrinkage.

    Raises
    ------
    ValueError
        When a scale is not positive, or `p0` exceeds the number of covariates (by `joint_model`).

    References
    ----------
    Piironen & Vehtari 2017 (EJS 11:5018), eqs 2.8 and 3.12.

    See Also
    --------
    spike_and_slab : sets coefficients to exactly zero, and tells how probably each is not.
    joint_model : takes it as ``coefficients``.

    Examples
    --------
    >>> from which_world import horseshoe
    >>> horseshoe(p0=2)
    Horseshoe(p0=2.0, slab=1.0, nu=4.0)
    """
    p0 = arguments.optional(arguments.positive, p0, "p0")
    return Horseshoe(p0, arguments.positive(slab, "slab"), arguments.positive(nu, "nu"))


def _remaining(matter: float, equation: EquationSummary, argument: str) -> float:
    """p less the number of covariates that matter, and never quite zero."""
    if matter > equation.covariates:
        raise ValueError(
            f"{argument}={matter:g}, but equation {equation.label} has {equation.covariates} "
            "covariates; accepted is a number of covariates between 0 and that."
        )
    return max(equation.covariates - matter, 0.5)


@dataclass(frozen=True)
class Excluded:
    """Covariates kept out of the outcome equation; see `excluded`."""

    names: tuple[str, ...]
    others: Linear = field(default_factory=UnitInformation)


Linear = UnitInformation | Normal | SpikeAndSlab | Horseshoe
Coefficients = Linear | Excluded


def excluded(names: str | Sequence[str], *, others: Linear | None = None) -> Excluded:
    """An exclusion restriction: these covariates move the outcome only through the treatment.

    Parameters
    ----------
    names : sequence of str
        Covariates whose β_O is exactly zero. The same as leaving their terms out of the outcome
        formula.
    others : coefficient prior, optional
        Of all other coefficients: `unit_information` (the default), `normal`, `spike_and_slab` or
        `horseshoe`.

    Raises
    ------
    ValueError
        When no name is given; by `joint_model`, when a name is no covariate of the treatment
        equation.

    See Also
    --------
    make_design : a covariate that the treatment's formula alone names is an instrument as well.
    joint_model : takes it as ``coefficients``.

    Examples
    --------
    >>> from which_world import excluded, normal
    >>> excluded(["price82"], others=normal())
    Excluded(names=('price82',), others=Normal(scale=1.0, beta_O=None, beta_T=None))
    """
    accepted = "names of covariates to keep out of the outcome equation, such as ['price82']"
    given = [names] if isinstance(names, str) else names
    labels = arguments.listed(given, "names", accepted, kind=str, least=1)
    if not all(labels):
        arguments.refuse("names", names, accepted)
    others = unit_information() if others is None else check_coefficients(others, "others", LINEAR)
    return Excluded(tuple(labels), others)


LINEAR: Mapping[str, type] = {
    "unit_information": UnitInformation,
    "normal": Normal,
    "spike_and_slab": SpikeAndSlab,
    "horseshoe": Horseshoe,
}
EVERY: Mapping[str, type] = {**LINEAR, "excluded": Excluded}


def check_coefficients(
    value: Any, name: str = "coefficients", kinds: Mapping[str, type] = EVERY
) -> Any:
    """A prior over coefficients, if it is one of these kinds."""
    if not isinstance(value, tuple(kinds.values())):
        *first, last = (f"{kind}(...)" for kind in kinds)
        raise TypeError(
            f"{name}={arguments.brief(value)} is no prior over coefficients; accepted is "
            f"{', '.join(first)} or {last}."
        )
    return value


def restrict(design: Design, coefficients: Coefficients) -> tuple[Design, Linear]:
    """The design and the prior that an exclusion restriction leaves.

    Any other prior leaves both alone.
    """
    check_coefficients(coefficients)
    if not isinstance(coefficients, Excluded):
        return design, coefficients
    accepted = list(design.labels(design.in_treatment))
    strangers = [name for name in coefficients.names if name not in accepted]
    if strangers:
        raise ValueError(
            f"excluded({strangers}) names no covariate of the treatment equation; accepted are "
            f"{accepted}."
        )
    kept = ~np.isin(design.covariates, coefficients.names)
    restricted = replace(design, in_outcome=design.in_outcome & kept)
    return restrict(restricted, coefficients.others)


def equations(design: Design) -> tuple[EquationSummary, EquationSummary]:
    """What the outcome's and the treatment's equation tell the prior of their coefficients."""
    rows = rows_of(design)
    _, log_sigma_U, _, log_sigma_V = rows.split(start(rows))

    def equation(label, kind, response, included, log_sigma):
        sd, noise = response.std(), float(np.exp(log_sigma))
        if kind == "binary":
            sd, noise = 1.0, index_sd(response.mean())
        return EquationSummary(label, int(included.sum()), design.n, sd, noise)

    return (
        equation("O", design.outcome_kind, design.y, design.in_outcome, log_sigma_U),
        equation("T", design.kind, design.t, design.in_treatment, log_sigma_V),
    )
