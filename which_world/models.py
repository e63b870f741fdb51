"""The joint model as PyMC sees it: one generative model.

`pm.do` runs it forwards, `pm.observe` backwards.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from pymc.distributions.distribution import SymbolicRandomVariable
from pymc.pytensorf import collect_default_updates
from pytensor.tensor.random.utils import normalize_size_param
from pytensor.tensor.variable import TensorVariable
from scipy.linalg import solve_triangular

from which_world import arguments
from which_world.design import Design, check_rows
from which_world.engine.bivariate_graph import log_Phi, log_Phi2
from which_world.engine.draws import OBSERVED
from which_world.forest import Forest, check_forest, forest_index
from which_world.moments import on_one_thread
from which_world.priors import (
    AtanhNormal,
    RhoPrior,
    atanh_normal,
    check_rho,
    log_density,
    normal,
    quantiles,
    scales,
    unit_information,
)
from which_world.selection import (
    Coefficients,
    EquationSummary,
    Horseshoe,
    SpikeAndSlab,
    equations,
    restrict,
)

MOST_SELECTED = 1000  # covariates that a sieve, a funnel or a forest is sampled over


@on_one_thread
def joint_model(
    design: Design,
    *,
    coefficients: Coefficients | None = None,
    rho: float | RhoPrior | None = None,
    treatment: Forest | None = None,
    outcome: Forest | None = None,
    alpha: float | None = None,
    sigma: float | None = None,
) -> pm.Model:
    """A PyMC model of treatment and outcome together, with correlated errors.

    ::

        Y = intercept_O + x'β_O + α (T - T̄) + U
        T = intercept_T + z'β_T + V
        (U, V) ~ Normal, correlation ρ, spreads σ_U and σ_V

    A binary response is 1 where its line is positive and 0 elsewhere; its σ is 1 (and T̄ is 0 for a
    binary T).

    Parameters
    ----------
    design : Design
        From `make_design`.
    coefficients : prior, optional
        Over β_O and β_T: `unit_information` (the default), `normal`, `spike_and_slab`, `horseshoe`,
        or `excluded`.
    rho : float or prior, optional
        A number fixes ρ; a prior over it is `atanh_normal(mean, sd)` (the default) or a frozen
        distribution of ``scipy.stats``.
    treatment, outcome : Forest, optional
        From `bart`: a forest of its covariates ``forest_T`` instead of intercept_T + z'β_T, or
        ``forest_O`` instead of intercept_O + x'β_O. The effect is α T either way. ``intercept_T``
        is then the forest's average.
    alpha, sigma : float, optional
        Prior sd of α and prior scale of σ_U, in the reader's units; see
        `which_world.priors.scales`.

    Returns
    -------
    pm.Model
        Free variables ``intercept_O``, ``beta_O``, ``alpha``, ``intercept_T``, ``beta_T``, ``rho``
        and, for a continuous outcome and treatment, ``sigma_U`` and ``sigma_V``; the responses
        ``likelihood_outcome`` and ``likelihood_treatment`` are random too, until `pm.observe` fixes
        them. ``treatment`` is the treatment as it acts: equal to ``likelihood_treatment``, the
        treatment as it came about, until `pm.do` holds it (see Notes). ``beta_O`` and ``beta_T``
        share the dim ``covariate``; an exclusion restriction is a coefficient of exactly zero.
        Where the design has moderators w, the effect (of a binary outcome: on its index) is α + w'δ
        with ``delta`` over the dim ``moderator``. The covariates are standardised; α and σ_U are in
        the reader's units. A binary outcome's model has ``effect`` too: what T = 1 against 0, or a
        step of a continuous T (`make_design`), does to the chance of Y = 1 when everybody keeps her
        own U, on average, in percentage points.

    Raises
    ------
    ValueError
        When ρ lies outside (-1, 1), a prior's spread is not positive, a sparse prior meets a
        forest, or either meets more than a thousand covariates.
    TypeError
        When `treatment` or `outcome` is something else than a forest.

    Notes
    -----
    Each response is a conditional distribution, so neither the latent errors nor a covariance
    matrix is sampled. With κ = ρ σ_U/σ_V, a continuous T gives Y | T ~ Normal(μ_O + α(T - T̄) + κ(T
    - μ_T), σ_U√(1-ρ²)), κ(T - μ_T) being the control function. A binary T gives Y | T an extended
    skew normal (Azzalini 1985; the endogenous-treatment model of Heckman 1978), with the latent V
    integrated out exactly. A binary Y is Bernoulli given T: with chance Φ((μ_O + ρ(T -
    μ_T)/σ_V)/√(1-ρ²)), where μ_O includes αT, for a continuous T (Rivers & Vuong 1988), and Φ₂(μ_O,
    qμ_T; qρ)/Φ(qμ_T), q = 2T - 1, for a binary one (the recursive bivariate probit).

    Y | T reads V off the treatment as it came about, and the treatment as it acts stands in the
    outcome's line: two nodes for one treatment, as in a single-world intervention graph (Richardson
    & Robins 2013). ``pm.do(model, {"treatment": t})`` is the intervention: the water changes, and U
    stays with its fish. ``pm.do(model, {"likelihood_treatment": t})`` conditions: it selects the V
    that goes with t, and U with it.

    See Also
    --------
    fit : draws from its posterior.
    map_rho : the same model at every ρ, without sampling.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from which_world import joint_model, make_design
    >>> rng = np.random.default_rng(0)
    >>> table = pd.DataFrame(rng.normal(size=(100, 3)), columns=["Y", "T", "X"])
    >>> design = make_design(table, outcome="Y ~ T + X", treatment="T ~ X")
    >>> model = joint_model(design, rho=0.3)
    >>> sorted(variable.name for variable in model.free_RVs if "likelihood" not in variable.name)
    ['alpha', 'beta_O', 'beta_T', 'intercept_O', 'intercept_T', 'sigma_U', 'sigma_V']
    """
    check_rows(design)
    check_forest(treatment=treatment, outcome=outcome)
    rho = check_rho(atanh_normal() if rho is None else rho)
    coefficients = unit_information() if coefficients is None else coefficients
    design, coefficients = restrict(design, coefficients)
    if isinstance(coefficients, (SpikeAndSlab, Horseshoe)) or treatment or outcome:
        _check_few(design, treatment or outcome or coefficients)
    if isinstance(coefficients, (SpikeAndSlab, Horseshoe)):
        if treatment or outcome:
            raise ValueError(
                f"coefficients={coefficients!r} beside a forest; accepted there are "
                "unit_information(...), normal(...) and excluded(...)."
            )
        # the intercepts and α stand outside a sparse prior
        prior = scales(design, normal(), alpha=alpha, sigma=sigma)
    else:
        prior = scales(design, coefficients, alpha=alpha, sigma=sigma)
    prior_O, prior_T = _Normals(prior.mean_O, prior.root_O), _Normals(prior.mean_T, prior.root_T)
    coords = {"covariate": list(design.covariates), "obs": np.arange(design.n)}
    with pm.Model(coords=coords) as model:
        X = pm.Data("X", design.C, dims=("obs", "covariate"))
        correlation = _rho(rho)
        sigma_U = _sigma("sigma_U", prior.sigma_U, design.outcome_kind)
        sigma_V = _sigma("sigma_V", prior.sigma_V, design.kind)
        slopes, effect = _effect(model, design, X, prior_O)
        index_O = (
            forest_index(design, "O", outcome)
            if outcome
            else _linear_index(model, design, X, "O", prior_O, coefficients, slopes)
        )
        index_T = (
            forest_index(design, "T", treatment)
            if treatment
            else _linear_index(model, design, X, "T", prior_T, coefficients, [])
        )
        T = TREATMENTS[design.kind](index_T, sigma_V)
        # times one: PyMC 6.4 loses a plain copy from the graph in a second pm.do or pm.observe
        held = pm.Deterministic("treatment", 1 * T, dims="obs")
        errors = correlation, sigma_U, sigma_V
        respond = RESPONSES[design.kinds]
        respond(index_O, index_T, T, held, effect, *errors, design.t_mean, design.step)
        _keep_responses(design)
    return model


def _check_few(design: Design, prior: Forest | Coefficients) -> None:
    """Refuse a prior whose draws would take days: each covariate is visited for each of them."""
    count = len(design.covariates)
    if count > MOST_SELECTED:
        raise ValueError(
            f"{arguments.brief(prior)} over {count:,} covariates would be sampled for days; "
            f"accepted are up to {MOST_SELECTED:,}: a coarser grouping of levels, or "
            "unit_information(...) and normal(...), and map_rho, where thousands of levels cost "
            "little beside two continuous responses."
        )


def _keep_responses(design: Design) -> None:
    """The responses of the data as they were, inside a model context: `fit` observes them."""
    responses = (design.y, design.t)
    for name, response, kind in zip(OBSERVED.values(), responses, design.kinds):
        pm.Data(name, response.astype(int) if kind == "binary" else response, dims="obs")


def _sigma(name: str, scale: float, kind: str) -> TensorVariable | float:
    """The error sd of a response, inside a model context; that of a binary one is 1."""
    return pm.HalfNormal(name, scale) if kind == "continuous" else 1.0


def _rho(rho: float | RhoPrior) -> TensorVariable:
    """ρ inside a model context: a constant, or a random variable on (-1, 1)."""
    if isinstance(rho, float):
        return pm.Deterministic("rho", pt.constant(rho))
    interval = pm.distributions.transforms.Interval(-1, 1)
    if isinstance(rho, AtanhNormal):

        def dist(mean, sd, size):
            return pt.tanh(pm.Normal.dist(mean, sd, size=size))

        return pm.CustomDist("rho", rho.mean, rho.sd, dist=dist, transform=interval)
    grid = np.union1d(np.linspace(-1, 1, 4003)[1:-1], np.tanh(quantiles(rho)))
    return pm.Interpolated("rho", grid, np.exp(log_density(rho, grid)), transform=interval)


class _Normals(NamedTuple):
    """The joint normal prior of one equation's coefficients, in θ's order.

    ``root @ (θ - mean)`` is standard normal, with an upper triangular root: each row of it says
    what a coefficient is like given those after it.
    """

    mean: np.ndarray
    root: np.ndarray

    def variable(self, name: str, place: slice, later: list, **shape: Any) -> TensorVariable:
        """The coefficients at some places of θ, normal given `later`, those after them.

        Without a `shape` they are a number and no vector.
        """
        own, after = self.root[place, place], self.root[place, place.stop :]
        level = self.mean[place]
        if after.any():
            slopes = -solve_triangular(own, after)
            level = level + slopes @ pt.concatenate([pt.atleast_1d(values) for values in later])
        sds = 1 / np.abs(np.diagonal(own))
        if not shape:
            return pm.Normal(name, level[0], sds[0])
        if np.array_equal(own, np.diag(np.diagonal(own))):
            return pm.Normal(name, level, sds, **shape)
        return pm.MvNormal(name, level, chol=_covariance_root(own), **shape)


def _covariance_root(root: np.ndarray) -> np.ndarray:
    """The lower Cholesky root of the covariance whose inverse has this upper root."""
    lower = np.linalg.qr(root[:, ::-1], mode="r")[::-1, ::-1]  # a root of the same precision
    inverse = solve_triangular(lower, np.eye(len(root)), lower=True)
    return inverse * np.sign(np.diagonal(inverse))


def _effect(
    model: pm.Model, design: Design, X: TensorVariable, prior: _Normals
) -> tuple[list[TensorVariable], TensorVariable]:
    """The treatment's coefficients, and its effect.

    That is α; or, where moderators w change it, α + w'δ, one effect a row.
    """
    last = len(prior.mean) - 1
    alpha = prior.variable("alpha", slice(last, last + 1), [])
    if not design.moderators:
        return [alpha], alpha
    model.add_coord("moderator", list(design.moderators))
    place = slice(last - len(design.moderators), last)
    delta = prior.variable("delta", place, [alpha], dims="moderator")
    return [delta, alpha], alpha + X[:, np.flatnonzero(design.moderates)] @ delta


def _linear_index(
    model: pm.Model,
    design: Design,
    X: TensorVariable,
    label: str,
    prior: _Normals,
    coefficients: Coefficients,
    later: list[TensorVariable],
) -> TensorVariable:
    """intercept + x'β of an equation, β exactly zero for the covariates that it excludes."""
    intercept = design.intercept_O if label == "O" else design.intercept_T
    included = design.in_outcome if label == "O" else design.in_treatment
    first = int(intercept)
    place = slice(first, first + int(included.sum()))
    if isinstance(coefficients, (SpikeAndSlab, Horseshoe)):
        equation = equations(design)["OT".index(label)]
        beta = free = _sparse_beta(model, design, equation, included, coefficients)
    elif not included.size:
        beta = free = pt.zeros(0)
    elif included.all():
        beta = free = prior.variable(f"beta_{label}", place, later, dims="covariate")
    else:
        free = pt.zeros(0)
        if included.any():
            own = f"covariate_{label}"  # those that the equation has
            model.add_coord(own, list(design.labels(included)))
            # its size too: JAX splits a gradient at places that it knows beforehand
            size = place.stop - place.start
            free = prior.variable(f"beta_{label}_free", place, later, shape=size, dims=own)
        beta = pm.Deterministic(f"beta_{label}", _scatter(free, included), dims="covariate")
    if not intercept:
        return 0.0 + X @ beta
    return prior.variable(f"intercept_{label}", slice(0, 1), [free, *later]) + X @ beta


def _sparse_beta(
    model: pm.Model,
    design: Design,
    equation: EquationSummary,
    included: np.ndarray,
    coefficients: SpikeAndSlab | Horseshoe,
) -> TensorVariable:
    """β of an equation under the sieve or the funnel, zeros for the covariates it lacks."""
    dims = f"covariate_{equation.label}"  # those that the equation has
    model.add_coord(dims, list(design.labels(included)))
    beta = coefficients.beta(equation, dims) if included.any() else pt.zeros(0)
    return pm.Deterministic(f"beta_{equation.label}", _scatter(beta, included), dims="covariate")


def _scatter(values: TensorVariable, included: np.ndarray) -> TensorVariable:
    """The values of the included covariates in their places, zeros elsewhere."""
    return pt.zeros(len(included))[np.flatnonzero(included)].set(values)


def _keep_effect(index: TensorVariable, change: TensorVariable) -> None:
    """Register what a change of its index does to the chance of Y = 1, on average, in points."""
    difference = pt.exp(log_Phi(index + change)) - pt.exp(log_Phi(index))
    pm.Deterministic("effect", 100 * pt.mean(difference))


def _continuous_treatment(index, sigma_V):
    return pm.Normal("likelihood_treatment", index, sigma_V, dims="obs")


def _binary_treatment(index, sigma_V):
    # Φ(η) as a logit, so that neither tail of the Bernoulli underflows
    logit = log_Phi(index) - log_Phi(-index)
    return pm.Bernoulli("likelihood_treatment", logit_p=logit, dims="obs")


def _number_by_dose(index_O, index_T, T, held, effect, rho, sigma_U, sigma_V, t_mean, *_):
    dose = held - pm.Data("treatment_mean", t_mean)
    kappa, V = rho * sigma_U / sigma_V, T - index_T
    mean = index_O + effect * dose + kappa * V
    sd = sigma_U * pt.sqrt(1 - rho**2)
    pm.Normal("likelihood_outcome", mean, sd, dims="obs")


def _number_by_choice(index_O, index_T, T, held, effect, rho, sigma_U, *_):
    mean = index_O + effect * held
    SelectedNormal("likelihood_outcome", mean, sigma_U, rho, index_T, T, dims="obs")


def _answer_by_dose(index_O, index_T, T, held, effect, rho, sigma_U, sigma_V, t_mean, step):
    dose = held - pm.Data("treatment_mean", t_mean)
    sd = pt.sqrt(1 - rho**2)  # of U, given V
    index = (index_O + effect * dose + rho * (T - index_T) / sigma_V) / sd
    _keep_effect(index, pm.Data("treatment_step", step) * effect / sd)
    pm.Bernoulli("likelihood_outcome", logit_p=log_Phi(index) - log_Phi(-index), dims="obs")


def _answer_by_choice(index_O, index_T, T, held, effect, rho, *_):
    _keep_effect(index_O, effect)
    q, mean = 2.0 * T - 1.0, index_O + effect * held
    # Φ₂(μ, qη; qρ) over Φ₂(-μ, qη; -qρ): the chances of Y = 1 and of Y = 0 beside this T
    logit = log_Phi2(mean, q * index_T, q * rho) - log_Phi2(-mean, q * index_T, -q * rho)
    pm.Bernoulli("likelihood_outcome", logit_p=logit, dims="obs")


def selected_logp(y, mu, sigma, rho, eta, t):
    """Log density of Y given on which side of zero η + V fell."""
    r = (y - mu) / sigma
    q = 2.0 * t - 1.0
    normal = -0.5 * r**2 - pt.log(sigma) - 0.5 * np.log(2 * np.pi)
    side = q * (eta + rho * r) / pt.sqrt(1 - rho**2)
    return normal + log_Phi(side) - log_Phi(q * eta)


def selected_draw(mu, sigma, rho, eta, t):
    """y = μ + σ(ρV + √(1-ρ²) ε) of a V drawn on the side that t names."""
    q = 2.0 * t - 1.0
    # qV lies above -qη; its upper tail has mass Φ(qη), and log-space keeps that tail exact
    V = -q * pt.ndtri_exp(pt.log(pm.Uniform.dist(0, 1, shape=eta.shape)) + log_Phi(q * eta))
    return mu + sigma * (rho * V + pt.sqrt(1 - rho**2) * pm.Normal.dist(0, 1, shape=eta.shape))


class SelectedNormalRV(SymbolicRandomVariable):
    """Y given on which side of zero η + V fell, by a name under which any process finds its
    density; a `pm.CustomDist` leaves its own behind where it is pickled.
    """

    extended_signature = "[size],(),(),(),(),(),[rng],[rng]->(),[rng],[rng]"
    _print_name = ("SelectedNormal", r"\operatorname{SelectedNormal}")

    @classmethod
    def rv_op(cls, *parameters, size=None):
        outer = [normalize_size_param(size), *map(pt.as_tensor, parameters)]
        inner = [each.type() if isinstance(each, TensorVariable) else each for each in outer]
        drawn = selected_draw(*inner[1:])
        sources = collect_default_updates(inputs=inner, outputs=[drawn])
        op = cls(inputs=[*inner, *sources], outputs=[drawn, *sources.values()])
        return op(*outer, *sources)


class SelectedNormal(pm.Continuous):
    """The same as a variable of a model."""

    rv_type, rv_op = SelectedNormalRV, SelectedNormalRV.rv_op
    logp = selected_logp

    @classmethod
    def dist(cls, *parameters, **named):
        return super().dist(parameters, **named)

    def support_point(rv, size, mu, *_):
        return mu


TREATMENTS = {"continuous": _continuous_treatment, "binary": _binary_treatment}
RESPONSES = {
    ("continuous", "continuous"): _number_by_dose,
    ("continuous", "binary"): _number_by_choice,
    ("binary", "continuous"): _answer_by_dose,
    ("binary", "binary"): _answer_by_choice,
}
