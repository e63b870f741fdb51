"""Did the data speak? A parameter whose posterior is its prior was never part of the answer."""

from typing import NamedTuple

import numpy as np
from scipy.stats import kstwobign, wasserstein_distance

SURE = 0.001  # chance of calling a difference where there is none


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
        When there is no variable `name`, or when it is no scalar.

    Notes
    -----
    Draws from a chain are dependent, so the critical distance counts effective ones: c √(1/m + 1/n) with m prior
    draws, n the bulk effective size, and c the 0.999 quantile of Kolmogorov's distribution.
    """
    import arviz as az

    before = _prior(prior, name, draws, seed)
    after = _posterior(posterior, name)
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
        return np.ravel(np.asarray(prior, dtype=float))
    import pymc as pm

    if name not in prior.named_vars or prior[name].ndim:
        raise ValueError(f"name={name!r} is no scalar variable of the model; accepted are {_scalars(prior)}.")
    return np.ravel(pm.draw(prior[name], draws=draws, random_seed=seed))


def _scalars(model):
    return sorted(rv.name for rv in [*model.free_RVs, *model.deterministics] if rv.ndim == 0)


def _posterior(posterior, name):
    if hasattr(posterior, "children"):
        known = posterior["posterior"]
        if name not in known or known[name].ndim != 2:
            scalars = sorted(key for key in known.data_vars if known[key].ndim == 2)
            raise ValueError(f"name={name!r} is no scalar of the posterior; accepted are {scalars}.")
        return known[name].values
    return np.atleast_2d(np.asarray(posterior, dtype=float))
