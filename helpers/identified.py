"""Sparse priors by NUTS on what the data identify, with ρ summed over a grid.

Under the sieve or the funnel the posterior of ρ can have two modes, far apart along the ridge, and no sampler
that moves ρ itself finds both. So ρ is not sampled. At each ρ_k of a grid the likelihood is nearly Gaussian
around its own mode θ_k (a column, `helpers.columns`), and the modes trace the ridge. Sample the displacement u
from that curve, which the data pin down wherever along it we are::

    log p(u, h) = logsumexp_k [ ℓ_k - ½ |L_k u|² + log prior(θ_k + R u, h) + log prior(ρ_k) ]

with ℓ_k the height of the likelihood at θ_k, L_k'L_k its precision there in units of u, R a fixed scale, and h
the prior's own parameters. That is smooth and has one mode. ρ is then drawn, draw by draw, from the summands,
and weights (true likelihood over the Gaussian one, Pareto k̂ the judge) make the draws exact.
"""

from typing import NamedTuple

import arviz as az
import numpy as np
import nutpie
import pymc as pm
import pytensor
import pytensor.tensor as pt
from arviz_stats.base import array_stats
from pymc.initial_point import make_initial_point_fn
from pymc.logprob.basic import conditional_logp
from pymc.pytensorf import rvs_in_graph
from pytensor.graph.replace import vectorize_graph
from pytensor.graph.traversal import ancestors
from scipy.integrate import cumulative_trapezoid
from scipy.interpolate import CubicSpline
from scipy.linalg import solve_triangular
from scipy.special import logsumexp

from helpers.columns import columns, ladder, log_prior_a
from helpers.design import Design
from helpers.likelihoods import log_likelihood
from helpers.reading import OWN, QUICK, Unreadable, frame, named, rho_of

COARSE, FEWEST, NEAR = 41, 60, 6.0  # see `_rungs`
STRIDES = 0.2, 0.8  # shortest and longest stride along the ridge, in standard errors of a coefficient
DROP = 12.5  # a ρ whose log posterior lies this far below the best is left out: five standard deviations
THIN = 2  # NUTS draws for every draw that is kept
PARETO_K = 0.7


class Sparse(NamedTuple):
    """A joint model with any prior over its parameters: its data, the prior as a graph of values, and ρ's."""

    design: Design
    own: dict  # name → value variable, of the parameters in θ
    hyper: dict  # random variable → value variable, of the prior's own parameters
    log_prior: object  # scalar graph of all of these
    rho: object  # ρ when it is fixed, else its log prior density


def read_sparse(model):
    """The `Sparse` reading of an observed joint model, or None when its likelihood is not ours."""
    try:
        design, rho = frame(model), rho_of(model)
    except Unreadable:
        return None
    values = {rv: rv.type(name=rv.name) for rv in model.free_RVs}
    data = {rv: model.rvs_to_values[rv] for rv in model.observed_RVs}
    terms = conditional_logp(values | data)
    prior = [terms[value].sum() for rv, value in values.items() if rv.name != "rho"]
    own = {rv.name: value for rv, value in values.items() if rv.name in OWN}
    hyper = {rv: value for rv, value in values.items() if rv.name not in OWN}
    source = Sparse(design, own, hyper, sum(prior), rho)
    likelihood = sum(terms[value].sum() for value in data.values())
    free_of_rho = "rho" not in own or own["rho"] not in ancestors([source.log_prior])
    return source if free_of_rho and _agrees(source, likelihood) else None


def _agrees(source, likelihood, points=2, tolerance=1e-6):
    """Is the model's likelihood ours? Compared at points near the middle of it."""
    rows, rng = source.design.rows, np.random.default_rng(0)
    middle = ladder(rows, None, 0.0).mode[0]
    theirs = pytensor.function(list(source.own.values()), likelihood, mode=QUICK, on_unused_input="ignore")
    for _ in range(points):
        theta = middle + 0.1 * rng.normal(size=len(middle))
        a = rng.uniform(-0.5, 0.5) if "rho" in source.own else np.arctanh(source.rho)
        point = _parts(source.design, theta) | {"rho": np.tanh(a)}
        ours = log_likelihood(rows, theta, a)[0]
        if not abs(ours - theirs(*(point[name] for name in source.own))) < tolerance * (1 + abs(ours)):
            return False
    return True


def _parts(design, theta):
    """θ, one or many, as the model's variables; works on arrays and on graphs."""
    k = int(design.intercept_O) + int(design.in_outcome.sum())
    m = k + 2 + int(design.intercept_T)
    end = m + int(design.in_treatment.sum())
    exp = np.exp if isinstance(theta, np.ndarray) else pt.exp
    beta_O, beta_T = theta[..., int(design.intercept_O) : k], theta[..., m:end]
    parts = {"intercept_O": theta[..., 0], "beta_O": beta_O, "beta_O_free": beta_O, "alpha": theta[..., k],
             "sigma_U": exp(theta[..., k + 1]), "intercept_T": theta[..., k + 2], "beta_T": beta_T,
             "beta_T_free": beta_T}  # fmt: skip
    return parts | ({"sigma_V": exp(theta[..., end])} if design.kind == "continuous" else {})


def _log_prior(source, theta, hyper):
    """Log prior of many θ (rows) as a graph, the Jacobian of log σ included; `hyper` replaces the values' names."""
    parts = _parts(source.design, theta)
    replacements = {value: parts[name] for name, value in source.own.items() if name in parts}
    density = vectorize_graph(source.log_prior, replacements | hyper)
    return density + sum(pt.log(parts[name]) for name in ("sigma_U", "sigma_V") if name in parts)


def by_identified(model, source, *, draws, tune, chains, seed, progressbar):
    """The model's posterior; None when Pareto k̂ objects or the grid of ρ ends too soon."""
    rows, rho = source.design.rows, source.rho
    rungs = _rungs(model, source)
    middle = int(np.argmax(_height(rungs, rho)))
    inner = _displacement(model, source, rungs, rungs.root[middle])
    compiled = nutpie.compile_pymc_model(inner)
    sampled = nutpie.sample(compiled, draws=THIN * draws, tune=tune, chains=chains, seed=seed,
                            progress_bar=progressbar, save_warmup=False)  # fmt: skip
    found = {name: values.values.reshape(chains * THIN * draws, *values.shape[2:])
             for name, values in sampled["posterior"].items()}  # fmt: skip
    rng = np.random.default_rng(seed)
    a, log_q = _draw_a(rungs.a, found["log_height"], rng)
    mode, _ = rungs.at(a)
    theta = mode + found["u"] @ rungs.root[middle].T
    hyper = {rv.name: found[rv.name] for rv in source.hyper}
    log_weight = log_likelihood(rows, theta, a) + _evaluate_prior(source, theta, hyper) - log_q
    log_weight += 0.0 if isinstance(rho, float) else log_prior_a(rho, a)
    smooth, pareto_k = array_stats.psislw(-log_weight)
    if pareto_k > PARETO_K or _edge(rungs.a, found["log_height"]) > 1e-3:
        return None
    kept = _resample(smooth.reshape(chains, -1), draws, rng)
    posterior = named(source.design, theta[kept], a[kept]) | {name: values[kept] for name, values in hyper.items()}
    diverging = sampled["sample_stats"]["diverging"].values
    return _tree(model, source, posterior, diverging, float(pareto_k))


def _rungs(model, source):
    """Columns of the likelihood, dense in ρ wherever a coefficient of the outcome passes through zero.

    There a sparse prior changes as fast as its spike is narrow, and the strides along the ridge keep to that;
    elsewhere nothing happens fast. A coefficient passes while it is within NEAR standard errors of zero.
    """
    design, rho = source.design, source.rho
    coarse = ladder(design.rows, None, rho, rungs=COARSE, drop=DROP)
    if isinstance(rho, float):
        return coarse
    place = int(design.intercept_O) + np.arange(int(design.in_outcome.sum()))
    error = np.sqrt((coarse.root**2).sum(axis=2))[:, place]
    a = np.linspace(coarse.a[0], coarse.a[-1], 4001)
    path, error = CubicSpline(coarse.a, coarse.mode[:, place]), CubicSpline(coarse.a, error)(a)
    stride = _strides(model, source, coarse, place) * error
    passing = np.abs(path(a)) < NEAR * error
    pace = np.where(passing, np.abs(path(a, 1)) / stride, 0.0).max(axis=1, initial=0.0)
    walked = cumulative_trapezoid(np.maximum(pace, FEWEST / (a[-1] - a[0])), a, initial=0.0)
    return columns(design.rows, None, np.interp(np.linspace(0, walked[-1], int(walked[-1]) + 2), walked, a))


def _strides(model, source, coarse, place):
    """For each coefficient, half the width of its prior's spike, in standard errors: where it has fallen by e²."""
    middle = int(np.argmin(np.abs(coarse.a)))
    error = np.sqrt((coarse.root[middle] ** 2).sum(axis=1))
    widths = np.geomspace(0.01, 10, 60)
    theta = np.tile(coarse.mode[middle], (len(place), len(widths) + 1, 1))
    for row, j in enumerate(place):
        theta[row, :, j] = np.r_[0.0, widths] * error[j]
    start = make_initial_point_fn(model=model, return_transformed=False)(0)
    flat = theta.reshape(-1, theta.shape[-1])
    hyper = {rv.name: np.broadcast_to(start[rv.name], (len(flat), *np.shape(start[rv.name]))) for rv in source.hyper}
    log_prior = _evaluate_prior(source, flat, hyper).reshape(theta.shape[:2])
    fallen = (log_prior[:, 1:] < log_prior[:, :1] - 2).argmax(axis=1)
    return np.clip(0.5 * np.where(fallen > 0, widths[fallen], np.inf), *STRIDES)


def _height(rungs, rho):
    return rungs.log_evidence + (0.0 if isinstance(rho, float) else log_prior_a(rho, rungs.a))


def _displacement(model, source, rungs, root):
    """The model of u and the prior's own parameters, with ρ summed out."""
    inverse = [solve_triangular(r, root) for r in rungs.root]
    prior_a = 0.0 if isinstance(source.rho, float) else log_prior_a(source.rho, rungs.a)
    start = model.initial_point()
    with pm.Model() as inner:
        u = pm.Flat("u", shape=root.shape[0])
        hyper = {}
        for rv, value in source.hyper.items():
            free, hyper[value] = _unconstrained(model, rv, start)
            pm.Deterministic(rv.name, hyper[value])
        gaussian = rungs.value - 0.5 * pt.sum((pt.constant(np.array(inverse)) @ u) ** 2, axis=1)
        theta = pt.constant(rungs.mode) + (pt.constant(root) @ u)[None, :]
        height = pm.Deterministic("log_height", gaussian + _log_prior(source, theta, hyper) + prior_a)
        pm.Potential("log_density", pt.logsumexp(height + _log_width(rungs.a)))
    return inner


def _unconstrained(model, rv, start):
    """A flat variable on the real line for one of the prior's parameters, and its value where it belongs."""
    transform, name = model.rvs_to_transforms[rv], model.rvs_to_values[rv].name
    free = pm.Flat(f"free_{rv.name}", shape=np.shape(start[name]), initval=start[name])
    if transform is None:
        return free, free
    inputs = [x for x in rv.owner.inputs if not rvs_in_graph(x)] if rvs_in_graph(rv.owner.inputs) else rv.owner.inputs
    pm.Potential(f"jacobian_{rv.name}", transform.log_jac_det(free, *inputs).sum())
    return free, transform.backward(free, *inputs)


def _log_width(knots):
    """Log weights of the trapezoidal rule."""
    if len(knots) == 1:
        return np.zeros(1)
    gap = np.diff(knots)
    return np.log(0.5 * (np.r_[gap, 0.0] + np.r_[0.0, gap]))


def _draw_a(knots, log_height, rng):
    """a for every draw, from the density that is linear between the knots, and its log height (not normalised)."""
    if len(knots) == 1:
        return np.full(len(log_height), knots[0]), log_height[:, 0]
    top = log_height.max(axis=1, keepdims=True)
    height = np.exp(log_height - top)
    cumulative = np.cumsum((height[:, 1:] + height[:, :-1]) * np.diff(knots), axis=1)
    cell = (cumulative < cumulative[:, -1:] * rng.uniform(size=(len(height), 1))).sum(axis=1)
    each = np.arange(len(height))
    left, right = height[each, cell], height[each, cell + 1]
    # either end of the cell by its height, then the triangle under that end
    far = 1 - np.sqrt(rng.uniform(size=len(height)))
    part = np.where(rng.uniform(size=len(height)) * (left + right) < left, far, 1 - far)
    a = knots[cell] + part * np.diff(knots)[cell]
    return a, top[:, 0] + np.log(left + part * (right - left))


def _evaluate_prior(source, theta, hyper):
    """Log prior of many draws."""
    rows = pt.dmatrix("theta")
    inputs = {rv: pt.tensor(rv.name, dtype="float64", shape=(None,) * (rv.ndim + 1)) for rv in source.hyper}
    graph = _log_prior(source, rows, {source.hyper[rv]: many for rv, many in inputs.items()})
    call = pytensor.function([rows, *inputs.values()], graph, mode=QUICK, on_unused_input="ignore")
    return call(theta, *(hyper[rv.name] for rv in inputs))


def _edge(knots, log_height):
    """Posterior share of the outermost values of ρ."""
    if len(knots) == 1:
        return 0.0
    summand = log_height + _log_width(knots)
    share = np.exp(summand - logsumexp(summand, axis=1, keepdims=True))
    return float(share[:, [0, -1]].mean(axis=0).max())


def _resample(log_weight, draws, rng):
    """Systematic resampling within each chain, in the chain's own order."""
    chains, steps = log_weight.shape
    weight = np.exp(log_weight - log_weight.max(axis=1, keepdims=True))
    cumulative = np.cumsum(weight, axis=1) / weight.sum(axis=1, keepdims=True)
    points = (np.arange(draws) + rng.uniform(size=(chains, 1))) / draws
    chosen = [np.searchsorted(c, p).clip(max=steps - 1) for c, p in zip(cumulative, points)]
    return np.array(chosen) + steps * np.arange(chains)[:, None]


def _tree(model, source, posterior, diverging, pareto_k):
    design = source.design
    dims = {name: ["covariate"] for name in ("beta_O", "beta_T")}
    idata = az.from_dict(
        {
            "posterior": posterior,
            "sample_stats": {"diverging": diverging},
            "observed_data": {"likelihood_outcome": design.y, "likelihood_treatment": design.t},
        },
        coords={"covariate": list(design.covariates)},
        dims=dims | {"likelihood_outcome": ["obs"], "likelihood_treatment": ["obs"]},
    )
    told = [rv.name for rv in model.deterministics if rv.name not in idata["posterior"]]
    if told:
        more = pm.compute_deterministics(
            idata["posterior"].to_dataset(), model=model, var_names=told, progressbar=False
        )
        idata["posterior"] = idata["posterior"].to_dataset().merge(more)
    idata.attrs.update(route="identified", pareto_k=pareto_k)
    return idata
