"""The worlds of a report: what each believes of ρ, their table, and other priors beside it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr
from scipy.stats import norm

from which_world.classical import effect_line
from which_world.maps import reweighed
from which_world.priors import AtanhNormal, atanh_normal, scales
from which_world.readings import between_columns, read_map, summary, weigh
from which_world.report.instruments import unit_of_effect
from which_world.report.report import read_of
from which_world.report.sentences import contradiction

if TYPE_CHECKING:
    from which_world.design import Design
    from which_world.priors import RhoPrior

PROBABILITY = 0.95
FLAT_DRAWS = 4000  # of least squares
FIRMLY, LOOSELY = 0.05, 0.25  # sd of atanh ρ in the worlds of a belief


def beliefs(belief: RhoPrior) -> dict[str, tuple[float | RhoPrior, str]]:
    """The worlds of a report: by name what is believed of ρ, also in words."""
    worlds: dict[str, tuple[float | RhoPrior, str]] = {
        "ρ = 0": (0.0, "nothing unmeasured moves both T and Y"),
        "ρ free": (belief, "a hidden current of unknown size and sign"),
    }
    for rho, moves in ((-0.3, "lowers"), (0.3, "raises")):
        probably = f"what raises T unseen probably {moves} Y"
        surely = f"what raises T unseen {moves} Y"
        mean = np.arctanh(rho)
        worlds[f"ρ near {rho:+g}, loosely"] = atanh_normal(mean, LOOSELY), probably
        worlds[f"ρ near {rho:+g}, firmly"] = atanh_normal(mean, FIRMLY), surely
    return worlds


def worlds_of(design, chart, belief, seed, misled=False):
    """The table of worlds, and their draws."""
    read = read_of(design)
    least_squares = effect_line(design)
    unit, rng = unit_of_effect(design), np.random.default_rng(seed)
    rows = {"OLS": _least_squares(least_squares, read, unit)}
    draws = {"OLS": _flat(least_squares, read, unit, rng)}
    for name, (prior, meaning) in beliefs(belief).items():
        try:
            reading = weigh(chart, prior, seed=seed, likelihood=name == "ρ free" or not misled)
        except ValueError as refusal:
            if name == "ρ = 0":
                raise
            rows[name] = _no_row(read) | {"interpretation": f"not shown: {_unread(str(refusal))}"}
            continue
        rows[name] = _row(reading, read)
        if isinstance(prior, float):
            rows[name] |= _column(chart, prior, read)
        against = "" if misled else contradiction(prior, rows[name]["rho"])
        if misled and name not in ("ρ = 0", "ρ free"):
            against = "the likelihood, which the shuffles reject, has no say on ρ"
        rows[name]["interpretation"] = f"{meaning}; {against}" if against else meaning
        draws[name] = reading[[read, "rho"]]
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("world")
    table.insert(3, "gap", table[read] - table[read]["OLS"])
    names = pd.Index(draws, name="world")
    together = xr.concat([reading.drop_attrs() for reading in draws.values()], names)
    said = {"outcome": design.outcome, "treatment": design.treatment, "step": design.step}
    return table, together.assign_attrs(said)


def _column(chart, rho, read):
    """Mean and interval at one ρ, as the figure that moves has them."""
    column = between_columns(read_map(chart, PROBABILITY), [rho]).iloc[0]
    return {read: column["mean"], "low": column["low"], "high": column["high"]}


def _unread(refusal):
    """Why the map cannot carry a world, without the remedies that need Python."""
    at_ends = r"([\d.]+)% of the posterior lies at the ends of the map .*and (\d\.\d\d)"
    if edge := re.match(at_ends, refusal):
        return f"{float(edge[1]):z.0f} % of the posterior lies beyond ρ = ±{edge[2]}"
    if rough := re.search(r"which hold ([\d.]+)% of the posterior", refusal):
        return f"{float(rough[1]):z.0f} % of the posterior lies where the map is far from Gaussian"
    return refusal.partition(";")[0]


def _least_squares(result, read, unit):
    """The row of least squares, which has no ρ."""
    low, high = unit * result.conf_int().loc["alpha"]
    t = result.params["alpha"] / result.bse["alpha"]
    return _no_row(read) | {
        read: unit * result.params["alpha"],
        "low": low,
        "high": high,
        f"P({read}>0)": norm.cdf(t),
        "interpretation": "least squares: no hidden current",
    }


def _flat(result, read, unit, rng):
    """Least squares as draws of its effect: the posterior under a flat prior. It has no ρ."""
    errors = result.bse["alpha"] * rng.standard_t(result.df_resid, FLAT_DRAWS)
    effect = unit * (result.params["alpha"] + errors)
    nothing = np.full(FLAT_DRAWS, np.nan)
    variables = {read: ("draw", effect), "rho": ("draw", nothing)}
    return xr.Dataset(variables, coords={"draw": np.arange(FLAT_DRAWS)})


def _no_row(read):
    """A row of a world that the map cannot carry."""
    names = read, "low", "high", "rho", "rho_sd", f"P({read}>0)", "pareto_k", "ess"
    return dict.fromkeys(names, np.nan)


def _row(reading, read):
    """The row of a world, from its draws."""
    row = summary(reading[read].values, reading.rho.values, PROBABILITY, read)
    row |= {name: reading.attrs[name] for name in ("pareto_k", "ess")}
    return {name: float(value) for name, value in row.items()}


def sensitivity_of(
    design: Design, chart: xr.Dataset, belief: RhoPrior, alpha: float | None, seed: int
) -> pd.DataFrame:
    """The world "ρ free" again, under priors half and twice as wide."""
    sd, read = scales(design, alpha=alpha).alpha, read_of(design)
    trials = {"as reported": (belief, chart)}
    for word, factor in (("half", 0.5), ("twice", 2.0)):
        if isinstance(belief, AtanhNormal):
            wider = atanh_normal(belief.mean, factor * belief.sd)
            trials[f"prior of ρ {word} as wide"] = wider, chart
        trials[f"prior of α {word} as wide"] = belief, reweighed(chart, sd, factor * sd)
    rows = {}
    for name, (prior, trial) in trials.items():
        try:
            rows[name] = _row(weigh(trial, prior, seed=seed), read)
        except ValueError:  # the map cannot carry this prior: an empty row says so
            rows[name] = _no_row(read)
    shown = [read, "low", "high", "rho", "rho_sd", f"P({read}>0)"]
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("prior")[shown]
