"""Did the data speak, and was it they?

A posterior that is only its prior; a current that is only the shape of the errors.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
from joblib import delayed
from scipy.stats import chi2, kstwobign, norm, wasserstein_distance

from which_world import arguments
from which_world.classical import climb
from which_world.design import Design, check_few, with_covariates
from which_world.engine.laplace import least_squares, start
from which_world.engine.likelihoods import Rows, derivatives, rows_of
from which_world.moments import CACHED, on_one_thread, side_by_side

if TYPE_CHECKING:
    import pymc as pm
    import xarray as xr

FALSE_ALARM = 0.001  # chance of calling a difference where there is none
TEST_SIZE = 0.05  # of the likelihood-ratio test
FAR_FROM_ZERO = 1.5  # atanh ρ on either side from which a climb starts, beside ρ = 0
SHUFFLES = 100


class Learned(NamedTuple):
    """What the data taught about one quantity; see `learned`."""

    learned: bool
    distance: float
    critical: float
    shift: float
    shrinkage: float


@on_one_thread
def learned(
    prior: pm.Model | npt.ArrayLike,
    posterior: xr.DataTree | npt.ArrayLike,
    *,
    name: str = "alpha",
    draws: int = 4000,
    seed: int = 0,
) -> Learned:
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
        ``learned``; the Kolmogorov-Smirnov ``distance`` between the two and the ``critical`` one it
        has to exceed; ``shift`` (Wasserstein distance, in prior sds) and ``shrinkage`` (1 -
        posterior sd over prior sd).

    Raises
    ------
    ValueError
        When there is no variable `name`, when it is no scalar, or when draws are not finite or all
        the same.

    See Also
    --------
    fit : the posterior.
    shuffle_test : whether what was learned about ρ is only the shape of the errors.

    Notes
    -----
    Draws from a chain are dependent, so the critical distance counts effective ones: c √(1/m + 1/n)
    with m prior draws, n the bulk effective size, and c the 0.999 quantile of Kolmogorov's
    distribution.

    Examples
    --------
    >>> import numpy as np
    >>> from which_world import learned
    >>> prior, same, narrow = np.random.default_rng(0).normal(size=(3, 2000))
    >>> learned(prior, same).learned, learned(prior, 0.5 * narrow).learned
    (False, True)
    """
    import arviz as az

    draws, seed = arguments.count(draws, "draws"), arguments.seed(seed)
    arguments.text(name, "name", accepted="the name of a scalar variable, such as 'alpha'")
    chains = _posterior(posterior, name)
    before, after = _prior(prior, name, draws, seed), chains.ravel()
    size = min(float(az.ess(chains)), after.size) if chains.shape[1] > 3 else after.size
    everywhere = np.sort(np.concatenate([before, after]))
    below_before, below_after = (_share_below(part, everywhere) for part in (before, after))
    distance = float(np.abs(below_before - below_after).max())
    critical = float(kstwobign.isf(FALSE_ALARM) * np.sqrt(1 / before.size + 1 / size))
    spread = before.std()
    return Learned(
        learned=distance > critical,
        distance=distance,
        critical=critical,
        shift=float(wasserstein_distance(before, after) / spread),
        shrinkage=float(1 - after.std() / spread),
    )


def _share_below(draws, points):
    """The share of draws at or below each point."""
    return np.searchsorted(np.sort(draws), points, side="right") / draws.size


def _prior(prior, name, draws, seed):
    """Draws of the prior, (draws,): of a model's variable, or as given."""
    if not hasattr(prior, "free_RVs"):
        accepted = "a pm.Model, such as joint_model(design), or an array of draws"
        given = arguments.numbers(prior, "prior", accepted, least=2).ravel()
        if np.ptp(given) == 0:
            one = f"prior={arguments.brief(prior)} is one value only"
            raise ValueError(f"{one}; accepted are draws that differ.")
        return given
    import pymc as pm

    if name not in prior.named_vars or prior[name].ndim:
        unknown = f"name={name!r} is no scalar variable of the model"
        raise ValueError(f"{unknown}; accepted are {_scalars(prior)}.")
    return np.ravel(pm.draw(prior[name], draws=draws, random_seed=seed))


def _scalars(model):
    """The names of a model's scalar variables."""
    return sorted(rv.name for rv in [*model.free_RVs, *model.deterministics] if rv.ndim == 0)


def _posterior(posterior, name):
    """Draws of the posterior, (chains, draws): of a tree's variable, or as given."""
    if hasattr(posterior, "children"):
        variables = arguments.fitted(posterior, "posterior")["posterior"]
        if name not in variables or variables[name].ndim != 2:
            scalars = sorted(key for key in variables.data_vars if variables[key].ndim == 2)
            unknown = f"name={name!r} is no scalar of the posterior"
            raise ValueError(f"{unknown}; accepted are {scalars}.")
        return variables[name].values
    accepted = "a DataTree from fit(...), or an array of draws, (chains, draws) or (draws,)"
    draws = np.atleast_2d(arguments.numbers(posterior, "posterior", accepted, least=2))
    if draws.ndim > 2:
        raise ValueError(f"posterior has the shape {draws.shape}; accepted is {accepted}.")
    return draws


@on_one_thread
def shuffle_test(
    design: Design,
    *,
    shuffles: int = SHUFFLES,
    rows: int = 5000,
    seed: int = 0,
) -> float:
    """How often the likelihood would call for a current in data like these, but without one.

    The joint maximum-likelihood estimate takes the effect and the current out of the outcome. What
    is left, each row's residual, stays with its covariates, and the row's treatment is drawn anew
    from its fitted chance: nothing unmeasured can move both, while the errors keep their shape, the
    instruments their strength, and every curve or uneven spread in the covariates its place.

    Parameters
    ----------
    design : Design
        With a binary treatment.
    shuffles, rows, seed : int
        How often, and of how many rows at most, drawn at random.

    Returns
    -------
    float
        The share of shuffles in which the likelihood-ratio test rejects ρ = 0 at the 5 % level: at
        most about 0.05 if the errors have the shape that the model assumes, whatever ρ is, and
        towards 1 where their shape passes for a current. With a few dozen rows, or a few
        for each coefficient, it rejects too often whatever the shape: look at `shuffles_of_normal`,
        the same with normal errors. NaN when no shuffle could be fitted.

    Raises
    ------
    ValueError
        When the treatment is continuous: its likelihood reads variances and covariances only, so no
        shape can pass for a current. When the outcome is binary: it shows no errors, and their
        shape is assumed outright.

    See Also
    --------
    weigh : with ``likelihood=False``, the reading to take where the share is high.
    learned : whether a posterior is only its prior.

    Notes
    -----
    A high share says that the likelihood is misled, not by how much, nor which way. A low one is no
    acquittal: what looks just like a current, as a curve or an uneven effect may, is taken out as
    one. Size and power are counted in tests/benchmarks/shuffle_power.py.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from which_world import make_design, shuffle_test
    >>> x, v, u = np.random.default_rng(0).normal(size=(3, 400))
    >>> t = (x + v > 0).astype(int)
    >>> data = pd.DataFrame({"x": x, "t": t, "normal": 2 * t + u, "skewed": 2 * t + np.exp(2 * u)})
    >>> for outcome in ["normal", "skewed"]:
    ...     design = make_design(data, outcome=f"{outcome} ~ t + x", treatment="t ~ x")
    ...     print(outcome, shuffle_test(design, shuffles=20) > 0.2)
    normal False
    skewed True
    """
    check_few(design)
    shuffles = arguments.count(shuffles, "shuffles")
    rows = arguments.count(rows, "rows", least=10)
    rng = np.random.default_rng(arguments.seed(seed))
    _check_errors_show(design)
    try:
        residual, chance = _without_current(rows_of(design))
    except np.linalg.LinAlgError:
        return np.nan
    return _rejected(design, lambda: residual, chance, shuffles, rows, rng)


def shuffles_of_normal(
    design: Design, *, shuffles: int = SHUFFLES, rows: int = 5000, seed: int = 0
) -> float:
    """What `shuffle_test` would say if the errors were normal: its size on these covariates."""
    rng = np.random.default_rng(seed)
    try:
        residual, chance = _without_current(rows_of(design))
    except np.linalg.LinAlgError:
        return np.nan
    return _rejected(
        design,
        lambda: residual.std() * rng.normal(size=len(residual)),
        chance,
        shuffles,
        rows,
        rng,
    )


def _rejected(design, residuals, chance, shuffles, rows, rng):
    """The share of shuffles in which ρ = 0 is rejected; NaN when none could be fitted."""
    work = (
        delayed(_rejects)(shuffled)
        for shuffled in _shuffled(design, residuals, chance, shuffles, rows, rng)
    )
    told = side_by_side(work, min(rows, design.n) >= CACHED)
    rejected = [each for each in told if each is not None]
    return float(np.mean(rejected)) if rejected else np.nan


def _shuffled(design, residuals, chance, shuffles, rows, rng):
    """Designs of some rows whose treatment is drawn anew, and nobody's error with it."""
    for _ in range(shuffles):
        chosen = slice(None)
        if design.n > rows:  # drawn one by one, and the million others left alone
            chosen = rng.choice(design.n, rows, replace=False, shuffle=False)
        treated = (rng.uniform(size=len(chance[chosen])) < chance[chosen]).astype(float)
        if np.ptp(treated) > 0:
            yield _with_responses(design, chosen, residuals()[chosen], treated)


def _rejects(shuffled):
    """`rejects_zero` of a design; None where too few are treated for its covariates."""
    try:
        return rejects_zero(Rows.of(shuffled))
    except np.linalg.LinAlgError:
        return None


def _check_errors_show(design):
    """Refuse a design whose likelihood sees no shape of the errors, or assumes it outright."""
    if design.outcome_kind == "binary":
        raise ValueError(
            f"the outcome {design.outcome!r} is a yes or a no: it shows no errors whose shape a "
            "shuffle could keep: what its likelihood says about rho rests on their assumed normal "
            "shape alone. Accepted is a continuous outcome."
        )
    if design.kind != "binary":
        raise ValueError(
            f"the treatment {design.treatment!r} is continuous, and its likelihood reads variances "
            "and covariances only: no shape of the errors can pass for a current; accepted is a "
            "design with a binary treatment."
        )


def _without_current(rows):
    """The outcome's residuals at the maximum nearest to ρ = 0, and each row's chance of treatment.

    Not at the highest maximum: heaped errors raise one near |ρ| = 1 that explains them away as a
    current.
    """
    zero = start(rows)
    theta_O, *_ = rows.split(climb(rows, np.r_[zero, 0.0]).point[:-1])
    theta_T = rows.split(zero)[2]
    return rows.y - rows.A @ theta_O, norm.cdf(rows.Z @ theta_T)


def _with_responses(design, chosen, y, t):
    """The chosen rows with another outcome and treatment, and the covariates that vary in them."""
    C = design.C[chosen]
    return with_covariates(replace(design, y=y, t=t, C=C), np.ptp(C, axis=0) > 0)


def rejects_zero(rows: Rows) -> bool:
    """Whether the likelihood-ratio test rejects ρ = 0; it stops as soon as it does."""
    zero = start(rows)
    enough = derivatives(rows, zero, 0.0)[0] + chi2.ppf(1 - TEST_SIZE, 1) / 2
    points = (np.r_[_towards(rows, zero, a), a] for a in (0.0, -FAR_FROM_ZERO, FAR_FROM_ZERO))
    climbs = (climb(rows, point, enough=enough, tolerance=0.01) for point in points)
    return any(top.value > enough for top in climbs)


def _towards(rows, theta, a):
    """About where the maximum at ρ = 0 moves when ρ = tanh a.

    By Heckman's correction, E[V | T, z] ρ σ_U.
    """
    theta_O, log_sigma, theta_T, _ = rows.split(theta)
    rho, index, side = np.tanh(a), rows.Z @ theta_T, 2 * rows.t - 1
    mills = side * np.exp(norm.logpdf(index) - norm.logcdf(side * index))
    slope, remainder = least_squares(rows.A, mills)
    spread = np.mean(mills * (mills + index)) - remainder / rows.n
    sigma = np.exp(log_sigma) / np.sqrt(1 - rho**2 * spread)
    return np.r_[theta_O - rho * sigma * slope, np.log(sigma), theta_T]
