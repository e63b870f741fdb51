"""The joint model as PyMC sees it: one generative model, run forwards with `pm.do`, backwards with `pm.observe`."""

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from scipy.linalg import solve_triangular

from which_world.design import check_rows
from which_world.engine.bivariate_graph import log_Phi, log_Phi2
from which_world.engine.draws import OBSERVED
from which_world.forest import check_forest, forest_index
from which_world.priors import (
    AtanhNormal,
    atanh_normal,
    check_rho,
    log_density,
    normal,
    quantiles,
    scales,
    unit_information,
)
from which_world.selection import Horseshoe, SpikeAndSlab, equations, restrict


def joint_model(design, *, coefficients=None, rho=None, treatment=None, outcome=None, alpha=None, sigma=None):
    """Treatment and outcome together, with correlated errors.

    ::

        Y = intercept_O + x'β_O + α (T - T̄) + U  (U, V) ~ Normal, correlation ρ, spreads σ_U and σ_V
        T = intercept_T + z'β_T + V              a continuous treatment

    A binary response is 1 where its line is positive and 0 elsewhere; its σ is 1 (and T̄ is 0 for a binary T).

    Parameters
    ----------
    design : Design
        From `make_design`.
    coefficients : prior, optional
        Over β_O and β_T: `unit_information` (the default), `normal`, `spike_and_slab`, `horseshoe`, or `excluded`.
    rho : float or prior, optional
        A number fixes ρ; a prior over it is `atanh_normal(mean, sd)` (the default) or a frozen
        distribution of ``scipy.stats``.
    treatment, outcome : Forest, optional
        From `bart`: a forest of its covariates ``forest_T`` instead of intercept_T + z'β_T, or ``forest_O`` instead
        of intercept_O + x'β_O. The effect is α T either way. ``intercept_T`` is then the forest's average.
    alpha, sigma : float, optional
        Prior sd of α and prior scale of σ_U, in the reader's units; see `which_world.priors.scales`.

    Returns
    -------
    pm.Model
        Free variables ``intercept_O``, ``beta_O``, ``alpha``, ``intercept_T``, ``beta_T``, ``rho`` and,
        for a continuous outcome and treatment, ``sigma_U`` and ``sigma_V``; the responses ``likelihood_outcome`` and
        ``likelihood_treatment`` are random too, until `pm.observe` fixes them. ``treatment`` is the treatment as it
        acts: equal to ``likelihood_treatment``, the treatment as it came about, until `pm.do` holds it (see Notes).
        ``beta_O`` and ``beta_T`` share the dim ``covariate``; an exclusion restriction is a coefficient of exactly
        zero. Where the design has moderators w, the effect (of a binary outcome: on its index) is α + w'δ with
        ``delta`` over the dim ``moderator``. The covariates are standardised; α and σ_U are in the reader's units. A
        binary outcome's model has ``effect`` too: what T = 1 against 0, or a step of a continuous T (`make_design`),
        does to the chance of Y = 1 when everybody keeps her own U, on average, in percentage points.

    Raises
    ------
    ValueError
        When ρ lies outside (-1, 1), a prior's spread is not positive, or a sparse prior meets a forest.
    TypeError
        When `treatment` or `outcome` is something else than a forest.

    Notes
    -----
    Each response is a conditional distribution, so neither the latent errors nor a covariance matrix is
    sampled. With κ = ρ σ_U/σ_V, a continuous T gives Y | T ~ Normal(μ_O + α(T - T̄) + κ(T - μ_T), σ_U√(1-ρ²)),
    κ(T - μ_T) being the control function. A binary T gives Y | T an extended skew normal (Azzalini 1985;
    the endogenous-treatment model of Heckman 1978), with the latent V integrated out exactly. A binary Y is Bernoulli
    given T: with chance Φ((μ_O + ρ(T - μ_T)/σ_V)/√(1-ρ²)), where μ_O includes αT, for a continuous T (Rivers & Vuong
    1988), and Φ₂(μ_O, qμ_T; qρ)/Φ(qμ_T), q = 2T - 1, for a binary one (the recursive bivariate probit).

    Y | T reads V off the treatment as it came about, and the treatment as it acts stands in the outcome's line: two
    nodes for one treatment, as in a single-world intervention graph (Richardson & Robins 2013).
    ``pm.do(model, {"treatment": t})`` is the intervention: the water changes, and U stays with its fish.
    ``pm.do(model, {"likelihood_treatment": t})`` conditions: it selects the V that goes with t, and U with it.
    """
    check_rows(design)
    check_forest(treatment=treatment, outcome=outcome)
    rho = check_rho(atanh_normal() if rho is None else rho)
    design, coefficients = restrict(design, unit_information() if coefficients is None else coefficients)
    sparse = isinstance(coefficients, (SpikeAndSlab, Horseshoe))
    if sparse and (treatment or outcome):
        raise ValueError(
            f"coefficients={coefficients!r} beside a forest; accepted there are unit_information(...), normal(...) and "
            "excluded(...)."
        )
    prior = scales(design, normal() if sparse else coefficients, alpha=alpha, sigma=sigma)
    coords = {"covariate": list(design.covariates), "obs": np.arange(design.n)}
    with pm.Model(coords=coords) as model:
        X = pm.Data("X", design.C, dims=("obs", "covariate"))
        rho = _rho(rho)
        sigma_U = pm.HalfNormal("sigma_U", prior.sigma_U) if design.outcome_kind == "continuous" else 1.0
        sigma_V = pm.HalfNormal("sigma_V", prior.sigma_V) if design.kind == "continuous" else 1.0
        priors = {"O": (prior.mean_O, prior.root_O), "T": (prior.mean_T, prior.root_T)}
        own, effect = _effect(model, design, X, priors["O"])
        index_O, index_T = (
            forest_index(design, e, forest) if forest else _line(model, design, X, e, priors[e], coefficients, later)
            for e, forest, later in (("O", outcome, own), ("T", treatment, []))
        )
        T = TREATMENTS[design.kind](index_T, sigma_V)
        # times one: PyMC 6.4 loses a plain copy from the graph in a second pm.do or pm.observe, without a word
        held = pm.Deterministic("treatment", 1 * T, dims="obs")
        RESPONSES[design.kinds](index_O, index_T, T, held, effect, rho, sigma_U, sigma_V, design.t_mean, design.step)
        for name, values, kind in zip(OBSERVED.values(), (design.y, design.t), design.kinds):
            pm.Data(name, values.astype(int) if kind == "binary" else values, dims="obs")
    return model


def _rho(rho):
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


def _normal(name, prior, own, later, **shape):
    """Coefficients at some places of θ, normal given those after them: what rows of the root precision say."""
    mean, root = prior
    block = root[own, own]
    slopes = -solve_triangular(block, root[own, own.stop :]) if own.stop < len(root) else np.zeros((len(block), 0))
    level = mean[own]
    if slopes.any():
        level = level + slopes @ pt.concatenate([pt.atleast_1d(variable) for variable in later])
    if not shape:  # a number and no vector
        return pm.Normal(name, level[0], 1 / abs(block[0, 0]))
    if np.array_equal(block, np.diag(np.diagonal(block))):
        return pm.Normal(name, level, 1 / np.abs(np.diagonal(block)), **shape)
    return pm.MvNormal(name, level, chol=_lower(block), **shape)


def _lower(root):
    """The lower Cholesky root of the covariance whose inverse has this upper root."""
    turned = np.linalg.qr(root[:, ::-1], mode="r")[::-1, ::-1]  # a lower root of the same precision
    found = solve_triangular(turned, np.eye(len(root)), lower=True)
    return found * np.sign(np.diagonal(found))


def _effect(model, design, X, prior):
    """The treatment's coefficients, and α; or α + w'δ, one effect a row, where moderators w change it."""
    last = len(prior[0]) - 1
    alpha = _normal("alpha", prior, slice(last, last + 1), [])
    if not design.moderators:
        return [alpha], alpha
    model.add_coord("moderator", list(design.moderators))
    delta = _normal("delta", prior, slice(last - len(design.moderators), last), [alpha], dims="moderator")
    return [delta, alpha], alpha + X[:, np.flatnonzero(design.moderates)] @ delta


def _tell_effect(before, change):
    """Register the average difference in the chance of Y = 1, in points, that a change of its index makes."""
    difference = pt.exp(log_Phi(before + change)) - pt.exp(log_Phi(before))
    pm.Deterministic("effect", 100 * pt.mean(difference))


def _line(model, design, X, e, prior, coefficients, later):
    """intercept + x'β of an equation, β exactly zero for the covariates that it excludes."""
    k, included = (
        (int(design.intercept_O), design.in_outcome) if e == "O" else (int(design.intercept_T), design.in_treatment)
    )
    place = slice(k, k + int(included.sum()))
    if isinstance(coefficients, (SpikeAndSlab, Horseshoe)):
        beta = free = _sparse_beta(model, design, equations(design)["OT".index(e)], included, coefficients)
    elif included.all():
        beta = free = _normal(f"beta_{e}", prior, place, later, dims="covariate") if included.size else pt.zeros(0)
    else:
        free = _normal(f"beta_{e}_free", prior, place, later, shape=place.stop - k) if included.any() else pt.zeros(0)
        beta = pm.Deterministic(f"beta_{e}", _place(free, included), dims="covariate")
    return (_normal(f"intercept_{e}", prior, slice(0, 1), [free, *later]) if k else 0.0) + X @ beta


def _sparse_beta(model, design, equation, included, coefficients):
    dims = f"covariate_{equation.label}"  # those that the equation has
    model.add_coord(dims, list(np.array(design.covariates, dtype=object)[included]))
    beta = coefficients.beta(equation, dims) if included.any() else pt.zeros(0)
    return pm.Deterministic(f"beta_{equation.label}", _place(beta, included), dims="covariate")


def _place(values, included):
    """The values of the included covariates in their places, zeros elsewhere."""
    return pt.zeros(len(included))[np.flatnonzero(included)].set(values)


def _continuous_treatment(index, sigma_V):
    return pm.Normal("likelihood_treatment", index, sigma_V, dims="obs")


def _binary_treatment(index, sigma_V):
    # Φ(η) as a logit, so that neither tail of the Bernoulli underflows
    return pm.Bernoulli("likelihood_treatment", logit_p=log_Phi(index) - log_Phi(-index), dims="obs")


def _number_by_dose(index_O, index_T, T, held, effect, rho, sigma_U, sigma_V, t_mean, *_):
    dose = held - pm.Data("treatment_mean", t_mean)
    kappa, V = rho * sigma_U / sigma_V, T - index_T
    mean = index_O + effect * dose + kappa * V
    sd = sigma_U * pt.sqrt(1 - rho**2)
    pm.Normal("likelihood_outcome", mean, sd, dims="obs")


def _number_by_choice(index_O, index_T, T, held, effect, rho, sigma_U, *_):
    pm.CustomDist(
        "likelihood_outcome", index_O + effect * held, sigma_U, rho, index_T, T,
        logp=selected_logp, dist=selected_draw, dims="obs",
    )  # fmt: skip


def _answer_by_dose(index_O, index_T, T, held, effect, rho, sigma_U, sigma_V, t_mean, step):
    before = index_O + effect * (held - pm.Data("treatment_mean", t_mean))
    spread = pt.sqrt(1 - rho**2)  # of U, given V
    index = (before + rho * (T - index_T) / sigma_V) / spread
    _tell_effect(index, pm.Data("treatment_step", step) * effect / spread)
    pm.Bernoulli("likelihood_outcome", logit_p=log_Phi(index) - log_Phi(-index), dims="obs")


def _answer_by_choice(index_O, index_T, T, held, effect, rho, *_):
    _tell_effect(index_O, effect)
    q, mean = 2.0 * T - 1.0, index_O + effect * held
    # Φ₂(μ, qη; qρ) over Φ₂(-μ, qη; -qρ): the chances of a yes and of a no beside this T
    logit = log_Phi2(mean, q * index_T, q * rho) - log_Phi2(-mean, q * index_T, -q * rho)
    pm.Bernoulli("likelihood_outcome", logit_p=logit, dims="obs")


TREATMENTS = {"continuous": _continuous_treatment, "binary": _binary_treatment}
RESPONSES = {
    ("continuous", "continuous"): _number_by_dose,
    ("continuous", "binary"): _number_by_choice,
    ("binary", "continuous"): _answer_by_dose,
    ("binary", "binary"): _answer_by_choice,
}


def selected_logp(y, mu, sigma, rho, eta, t):
    """Log density of Y given on which side of zero η + V fell."""
    r = (y - mu) / sigma
    q = 2.0 * t - 1.0
    normal = -0.5 * r**2 - pt.log(sigma) - 0.5 * np.log(2 * np.pi)
    side = q * (eta + rho * r) / pt.sqrt(1 - rho**2)
    return normal + log_Phi(side) - log_Phi(q * eta)


def selected_draw(mu, sigma, rho, eta, t, size):
    """Draw V on the side that t names, then U given V: y = μ + σ(ρV + √(1-ρ²) ε)."""
    q = 2.0 * t - 1.0
    # qV lies above -qη; its upper tail has mass Φ(qη), and log-space keeps that tail exact
    V = -q * pt.ndtri_exp(pt.log(pm.Uniform.dist(0, 1, shape=eta.shape)) + log_Phi(q * eta))
    return mu + sigma * (rho * V + pt.sqrt(1 - rho**2) * pm.Normal.dist(0, 1, shape=eta.shape))
