"""How far the world "ρ free" leans on its priors: its draws, weighted by powers of each prior."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import norm

from which_world.priors import log_density
from which_world.report.words import percent

if TYPE_CHECKING:
    import xarray as xr

    from which_world.priors import RhoPrior

POWERS = 0.8, 1.25  # a prior a little weaker, and a little stronger
LEANS = 0.03  # of its width that an end moves; an interval that is all prior moves by twice that
ENDS = 0.025, 0.975


def leaning(reading: xr.Dataset, belief: RhoPrior, sd: float) -> str:
    """Whether the interval of a reading leans on the prior of ρ, or on that of α, in a sentence.

    Parameters
    ----------
    reading : xarray.Dataset
        From `weigh`, under `belief`.
    belief : prior over ρ
    sd : float
        Of the prior of α.

    References
    ----------
    Kallioinen et al. 2024 (Statistics and Computing 34:57), for priors to a power, by weights.
    """
    rho, effect = reading.rho.values, reading.effect.values
    log_priors = {
        "ρ": log_density(belief, rho) + np.log1p(-(rho**2)),  # of atanh ρ
        "α": norm.logpdf(reading.alpha.values, 0, sd),
    }
    moved = {name: _farthest(effect, log_prior) for name, log_prior in log_priors.items()}
    far = [f"that of {name}" for name, share in moved.items() if share > LEANS]
    verdict = f"it leans on {' and on '.join(far)}" if far else "it leans on neither"
    ends = " and ".join(f"{percent(share)} (of {name})" for name, share in moved.items())
    return (
        f"Made a little weaker or stronger, raised to the power {POWERS[0]} or {POWERS[1]}, the "
        f"priors move an end of the interval of “ρ free” by at most {ends} of its width: {verdict}."
    )


def _farthest(effect, log_prior):
    """The farthest that an end of the interval moves, in widths, as the prior changes its power."""
    low, high = _ends(effect, np.ones(len(effect)))
    logs = log_prior - log_prior.max()
    moved = [_ends(effect, np.exp((power - 1) * logs)) - (low, high) for power in POWERS]
    return float(np.abs(moved).max() / (high - low))


def _ends(effect, weight):
    return np.quantile(effect, ENDS, weights=weight, method="inverted_cdf")
