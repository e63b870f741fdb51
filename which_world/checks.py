"""Did the data speak, and was it they? A posterior that is only its prior; a current that is only the errors' shape."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from scipy.stats import chi2, kstwobign, norm, wasserstein_distance

from which_world import arguments
from which_world.classical import climb
from which_world.design import check_design, only
from which_world.engine.laplace import least_squares, start
from which_world.engine.likelihoods import Rows, derivatives, rows_of

SURE = 0.001  # chance of calling a difference where there is none
SHUFFLES = 100


class Learned(NamedTuple):
    """What the data taught about one quantity; see `learned`."""

    learned: bool
    distance: float
    critical: float
    shift: float
    shrinkage: float


def learned(prior, posterior, *, name="alpha", draws=4000, seed=0):
    """Whether a posterior differs from its prior, by more than Monte Carlo error.

    Parameters
    ----------
    prior : pm.Model or array_like
        The model, whose prior is then drawn from, or prior draws.
    posterior : DataTree or array_like
        From `fit`, or draws of shape (chains, draws) or (draws,).
    name : str
        The scalar variable to look at, where a model or a tree is given.
    draws, seed : int
        Of the prior, where a model is given.

    Returns
    -------
    Learned
        ``learned``; the Kolmogorov-Smirnov ``distance`` between the two and the ``critical`` one it has to exceed;
        ``shift`` (Wasserstein distance, in prior sds) and ``shrinkage`` (1 - posterior sd over prior sd).

    Raises
    ------
    ValueError
        When there is no variable `name`, when it is no scalar, or when draws are not finite or all the same.

    Notes
    -----
    Draws from a chain are dependent, so the critical distance counts effective ones: c √(1/m + 1/n) with m prior
    draws, n the bulk effective size, and c the 0.999 quantile of Kolmogorov's distribution.
    """
    import arviz as az

    draws, seed = arguments.count(draws, "draws"), arguments.seed(seed)
    arguments.text(name, "name", accepted="the name of a scalar variable, such as 'alpha'")
    after = _posterior(posterior, name)
    before = _prior(prior, name, draws, seed)
    size = min(float(az.ess(after)), after.size) if after.shape[1] > 3 else after.size
    both = np.sort(np.concatenate([before, after.ravel()]))
    below = [np.searchsorted(np.sort(part), both, side="right") / part.size for part in (before, after.ravel())]
    distance = float(np.abs(below[0] - below[1]).max())
    critical = float(kstwobign.isf(SURE) * np.sqrt(1 / before.size + 1 / size))
    spread = before.std()
    return Learned(
        distance > critical, distance, critical, float(wasserstein_distance(before, after.ravel()) / spread),
        float(1 - after.std() / spread),
    )  # fmt: skip


def _prior(prior, name, draws, seed):
    if not hasattr(prior, "free_RVs"):
        accepted = "a pm.Model, such as joint_model(design), or an array of draws"
        found = arguments.numbers(prior, "prior", accepted, least=2).ravel()
        if np.ptp(found) == 0:
            raise ValueError(f"prior={arguments.told(prior)} is one value only; accepted are draws that differ.")
        return found
    import pymc as pm

    if name not in prior.named_vars or prior[name].ndim:
        raise ValueError(f"name={name!r} is no scalar variable of the model; accepted are {_scalars(prior)}.")
    return np.ravel(pm.draw(prior[name], draws=draws, random_seed=seed))


def _scalars(model):
    return sorted(rv.name for rv in [*model.free_RVs, *model.deterministics] if rv.ndim == 0)


def _posterior(posterior, name):
    if hasattr(posterior, "children"):
        known = arguments.fitted(posterior, "posterior")["posterior"]
        if name not in known or known[name].ndim != 2:
            scalars = sorted(key for key in known.data_vars if known[key].ndim == 2)
            raise ValueError(f"name={name!r} is no scalar of the posterior; accepted are {scalars}.")
        return known[name].values
    accepted = "a DataTree from fit(...), or an array of draws, (chains, draws) or (draws,)"
    found = np.atleast_2d(arguments.numbers(posterior, "posterior", accepted, least=2))
    if found.ndim > 2:
        raise ValueError(f"posterior has the shape {found.shape}; accepted is {accepted}.")
    return found


def shuffle_test(design, *, shuffles=SHUFFLES, rows=5000, seed=0):
    """How often the likelihood would call for a current in data like these, but without one.

    The joint maximum-likelihood estimate takes the effect and the current out of the outcome. What is left, each row's
    residual, stays with its covariates, and the row's treatment is drawn anew from its fitted chance: nothing
    unmeasured can move both, while the errors keep their shape, the instruments their strength, and every curve or
    uneven spread in the covariates its place.

    Parameters
    ----------
    design : Design
        With a binary treatment.
    shuffles, rows, seed : int
        How often, and of how many rows at most, drawn at random.

    Returns
    -------
    float
        The share of shuffles in which the likelihood-ratio test rejects ρ = 0 at the 5 % level: at most about 0.05
        if the errors have the shape that the model assumes, whatever ρ is, and towards 1 where their shape passes for
        a current. NaN when no shuffle could be fitted.

    Raises
    ------
    ValueError
        When the treatment is continuous: its likelihood reads variances and covariances only, so no shape can pass for
        a current. When the outcome is binary: it shows no errors, and their shape is assumed outright.

    Notes
    -----
    A high share says that the likelihood is misled, not by how much, nor which way. A low one is no acquittal: what
    looks just like a current, as a curve or an uneven effect may, is taken out as one. Size and power are counted in
    tests/benchmarks/shuffle_power.py.
    """
    check_design(design)
    shuffles, rows = arguments.count(shuffles, "shuffles"), arguments.count(rows, "rows", least=10)
    rng = np.random.default_rng(arguments.seed(seed))
    if design.outcome_kind == "binary":
        raise ValueError(
            f"the outcome {design.outcome!r} is a yes or a no: it shows no errors whose shape a shuffle could keep: "
            "what its likelihood says about rho rests on their assumed normal shape alone. Accepted is a continuous "
            "outcome."
        )
    if design.kind != "binary":
        raise ValueError(
            f"the treatment {design.treatment!r} is continuous, and its likelihood reads variances and covariances "
            "only: no shape of the errors can pass for a current; accepted is a design with a binary treatment."
        )
    try:
        residual, chance = _without_current(rows_of(design))
    except np.linalg.LinAlgError:
        return np.nan
    rejected = []
    for _ in range(shuffles):
        chosen = rng.permutation(design.n)[:rows] if design.n > rows else slice(None)
        treated = (rng.uniform(size=len(chance[chosen])) < chance[chosen]).astype(float)
        if np.ptp(treated) == 0:
            continue
        try:
            rejected.append(rejects_zero(Rows.of(_dealt(design, chosen, residual[chosen], treated))))
        except np.linalg.LinAlgError:  # too few treated rows for these covariates
            continue
    return float(np.mean(rejected)) if rejected else np.nan


def _without_current(rows):
    """The outcome's residuals at the maximum nearest to ρ = 0, and each row's chance of treatment.

    Not at the highest maximum: heaped errors raise one near |ρ| = 1 that explains them away as a current.
    """
    zero = start(rows)
    theta_O = rows.split(climb(rows, np.r_[zero, 0.0]).point[:-1])[0]
    return rows.y - rows.A @ theta_O, norm.cdf(rows.Z @ rows.split(zero)[2])


def _dealt(design, chosen, y, t):
    """The chosen rows with another outcome and treatment, without the covariates that do not vary in them."""
    C = design.C[chosen]
    return only(replace(design, y=y, t=t, C=C), np.ptp(C, axis=0) > 0)


def rejects_zero(rows):
    """Whether the likelihood-ratio test rejects ρ = 0 at the 5 % level; it stops as soon as it does."""
    zero = start(rows)
    enough = derivatives(rows, zero, 0.0)[0] + chi2.ppf(0.95, 1) / 2
    points = (np.r_[_towards(rows, zero, a), a] for a in (0.0, -1.5, 1.5))
    return any(climb(rows, point, enough=enough, tolerance=0.01).value > enough for point in points)


def _towards(rows, theta, a):
    """About where the maximum at ρ = 0 moves when ρ = tanh a: by Heckman's correction, E[V | T, z] ρ σ_U."""
    theta_O, log_sigma, theta_T, _ = rows.split(theta)
    rho, index, q = np.tanh(a), rows.Z @ theta_T, 2 * rows.t - 1
    mills = q * np.exp(norm.logpdf(index) - norm.logcdf(q * index))
    bent, left = least_squares(rows.A, mills)
    spread = np.mean(mills * (mills + index)) - left / rows.n
    sigma = np.exp(log_sigma) / np.sqrt(1 - rho**2 * spread)
    return np.r_[theta_O - rho * sigma * bent, np.log(sigma), theta_T]
