"""A map drawn by hand, of which everything that can be read is known."""

import numpy as np
import xarray as xr
from scipy.special import logsumexp
from scipy.stats import norm

GRID = np.tanh(np.linspace(-2.4, 2.4, 49))


def by_hand(slope=-12.0, sd=0.5, evidence=0.0, k=0.1, rho=GRID, tilt=0.0):
    """α is Normal(3 + slope ρ + tilt, sd) at every ρ: draws around 3 + slope ρ, in weights exp(z tilt/sd)."""
    draws = norm.ppf((np.arange(4000) + 0.5) / 4000)
    shape = (len(rho), 4000)
    weight = tilt / sd * draws
    return xr.Dataset(
        {
            "alpha": (("rho", "draw"), 3 + slope * rho[:, None] + sd * draws),
            "log_weight": (("rho", "draw"), np.broadcast_to(weight - logsumexp(weight), shape)),
            "log_evidence": ("rho", np.broadcast_to(evidence, len(rho))),
            "pareto_k": ("rho", np.broadcast_to(k, len(rho))),
            "ess": ("rho", np.full(len(rho), 4000.0)),
        },
        coords={"rho": rho, "draw": np.arange(4000)},
        attrs={"outcome": "Y", "treatment": "T"},
    )
