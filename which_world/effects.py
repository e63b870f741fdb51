"""From draws to potential outcomes: what each fish would have been in the other water.

Given the parameters, a fish's own error is known: U = y - intercept_O - x'β_O - (α + w'δ) t. It stays with the
fish in either water, so the missing potential outcome is imputed exactly, draw by draw::

    Y(s) = y + (α + w'δ)(s - t)

The observed half is data; only the other half is uncertain. Of a yes or a no only the side of zero on which
intercept_O + x'β_O + (α + w'δ) t + U fell is known, and the other half is a chance.
"""

from collections.abc import Mapping

import numpy as np
import xarray as xr

from which_world import arguments
from which_world.design import check_rows
from which_world.engine.counterfactual import CHUNK, POINTS, average_effect, imputed_chances
from which_world.engine.draws import vectors
from which_world.engine.likelihoods import Rows

EVERYONE = "everyone"


def potential_outcomes(idata, design, *, levels=(0.0, 1.0)):
    """Mean potential outcomes of the rows at hand, and the effects between them, by imputation.

    Parameters
    ----------
    idata : xarray.DataTree
        From `fit`, of this design; its posterior holds ``alpha`` and, with moderators, ``delta``.
    design : Design
    levels : pair of float
        The two values the treatment is set to, in the reader's units.

    Returns
    -------
    xarray.Dataset
        Dims ``chain``, ``draw`` and ``group``: ``"everyone"`` and, for a binary treatment, ``"treated"`` and
        ``"untreated"``. ``Y0`` and ``Y1`` are the group's mean outcome (units of the outcome) with the treatment
        set to the first and the second level; ``effect`` is Y1 - Y0: the average effect over everyone (ATE), on
        the treated (ATT) and on the untreated (ATU). For a binary outcome all three are in percentage points.

    Raises
    ------
    ValueError
        When `idata` is a fit of another design (other rows, values, covariates or moderators), or `levels` are not two
        different numbers.

    Notes
    -----
    One error in both waters is an assumption of the model: given its covariates, no fish gains more than
    another, and the treated did not choose by their gain. The means are of this sample, not of the population it
    came from. Potential outcomes: Rubin 1974 (Journal of Educational Psychology 66:688).
    """
    low, high = _levels(levels)
    alpha, delta = _draws(idata, check_rows(design))
    if design.outcome_kind == "binary":
        return _chances(idata["posterior"].to_dataset(), design, (low, high))
    parts = [_group(design, alpha, delta, rows, (low, high)) for rows in _groups(design).values()]
    return xr.concat(parts, dim=xr.Variable("group", list(_groups(design)), {"long_name": "whose mean"}))


def effect_at(idata, design, values):
    """The effect at chosen values of the moderators.

    Parameters
    ----------
    idata : xarray.DataTree
        From `fit`, of this design.
    design : Design
        With moderators: its outcome formula multiplies the treatment by covariates.
    values : mapping of str to sequence of float
        Values in the reader's units by label of `design.moderators`, all equally many: ``{"age": [30, 60]}``.
        A dummy takes 0 or 1. Moderators left out stay at their average.

    Returns
    -------
    xarray.DataArray
        Dims ``chain``, ``draw`` and ``at``; the values are coordinates along ``at``. Units of the outcome per unit
        of the treatment; for a binary outcome percentage points, averaged over rows that all have these
        values beside the dose and the error of their own.

    Raises
    ------
    ValueError
        When `idata` is a fit of another design, a label is no moderator, or the values are not equally many finite
        numbers.
    """
    alpha, delta = _draws(idata, check_rows(design))
    values = _values(values, design)
    size = len(next(iter(values.values())))
    m = xr.DataArray(np.zeros((size, len(design.moderators))), dims=("at", "moderator"),
                     coords={"moderator": list(design.moderators)})  # fmt: skip
    for label, x in values.items():
        m.loc[{"moderator": label}] = (x - design.scales.loc[label, "mean"]) / design.scales.loc[label, "sd"]
    if design.outcome_kind == "binary":
        effect = _chance_at(idata["posterior"].to_dataset(), design, m)
        return effect.assign_coords({label: ("at", x) for label, x in values.items()}).rename("effect")
    effect = (alpha + (delta * m).sum("moderator")).transpose(..., "at")
    return effect.assign_coords({label: ("at", x) for label, x in values.items()}).rename("effect")


def _draws(idata, design):
    """α (chain, draw) and δ (chain, draw, moderator); without moderators the latter is empty."""
    needs = ("alpha", "rho") if design.outcome_kind == "binary" else ("alpha",)
    posterior = arguments.fitted(idata, needs=needs)["posterior"]
    if differ := list(_differences(idata, design)):
        raise ValueError(
            f"idata={arguments.told(idata)} is no fit of design={design!r}: {'; '.join(differ)}; accepted is a fit of "
            "this design: fit(design), or of a model made from it."
        )
    if not design.moderators:
        return posterior["alpha"], posterior["alpha"].expand_dims(moderator=0, axis=-1)
    return posterior["alpha"], posterior["delta"]


def _differences(idata, design):
    """In which a fit and a design differ: rows, values, covariates, moderators. What a fit does not hold, none asks."""
    seen, posterior = idata.children.get("observed_data", {}), idata["posterior"]
    for label, name, values in ((design.outcome, "outcome", design.y), (design.treatment, "treatment", design.t)):
        held = seen[f"likelihood_{name}"].values if f"likelihood_{name}" in seen else values
        if len(held) != len(values):
            yield f"it has {len(held):,} rows of the {name}, the design {len(values):,}"
        elif not np.array_equal(held, values):
            yield f"it has other values of the {name} {label!r}"
    beta, delta = posterior.get("beta_O"), posterior.get("delta")
    covariates = design.covariates if beta is None or "covariate" not in beta.coords else beta.covariate.values
    moderators = () if delta is None else delta.moderator.values
    labels = {"covariates": (covariates, design.covariates), "moderators": (moderators, design.moderators)}
    for name, (held, own) in labels.items():
        if list(held) != list(own):
            yield f"it has the {name} {list(map(str, held))}, the design {list(own)}"


def _groups(design):
    """Which rows are whose."""
    if design.kind != "binary":
        return {EVERYONE: np.ones(design.n, dtype=bool)}
    return {EVERYONE: np.ones(design.n, dtype=bool), "treated": design.t == 1, "untreated": design.t == 0}


def _group(design, alpha, delta, rows, levels):
    """Means over some rows; effects are linear in α and δ, so the rows are averaged before the draws come in."""
    y, t, M = design.y[rows].mean(), design.t[rows], design.M[rows]
    Y = []
    for level in levels:
        step = xr.DataArray((M * (level - t)[:, None]).mean(axis=0), dims="moderator")
        Y.append(y + alpha * (level - t).mean() + (delta * step).sum("moderator"))
    return xr.Dataset({"Y0": Y[0], "Y1": Y[1], "effect": Y[1] - Y[0]})


def _chances(posterior, design, levels):
    """Mean chances of a yes, in percent, at both levels: the row's own answer where it stands, a chance where not."""
    rows, draws = Rows.of(design, compress=False), posterior.stack(sample=("chain", "draw"))
    theta, a = vectors(draws, design), np.arctanh(draws["rho"].values)
    slope = theta[:, len(rows.names_O) - 1 - len(design.moderators) : len(rows.names_O)]
    groups = np.array([who / who.sum() for who in _groups(design).values()])
    size, means = max(1, CHUNK // design.n), []
    for part in (slice(i, i + size) for i in range(0, len(theta), size)):
        effect = slope[part, -1:] + slope[part, :-1] @ design.M.T
        means.append([imputed_chances(rows, theta[part], a[part], effect * (level - design.t)) @ groups.T
                      for level in levels])  # fmt: skip
    shape = (posterior.sizes["chain"], posterior.sizes["draw"], len(groups))
    Y = [POINTS * np.concatenate(level).reshape(shape) for level in zip(*means)]
    dims = {"chain": posterior.chain, "draw": posterior.draw, "group": list(_groups(design))}
    found = {name: (tuple(dims), values) for name, values in zip(("Y0", "Y1", "effect"), (*Y, Y[1] - Y[0]))}
    return xr.Dataset(found, coords=dims)


def _chance_at(posterior, design, values):
    """The average risk difference, had every row these values of the moderators (at, moderator)."""
    draws = posterior.stack(sample=("chain", "draw"))
    theta, a = vectors(draws, design), np.arctanh(draws["rho"].values)
    shape = posterior.sizes["chain"], posterior.sizes["draw"]
    each = [average_effect(design, theta, a, at=place).reshape(shape) for place in values.values]
    dims = {"chain": posterior.chain, "draw": posterior.draw}
    return xr.DataArray(np.stack(each, axis=-1), dims=(*dims, "at"), coords=dims)


def _levels(levels):
    low, high = arguments.pair(levels, "levels", accepted := "a pair of different numbers, such as (0, 1)")
    if low == high:
        arguments.refuse("levels", levels, accepted)
    return low, high


def _values(values, design):
    if not isinstance(values, Mapping) or not values:
        arguments.refuse("values", values, "a mapping of moderators to their values: {'age': [30, 60]}")
    strangers = [label for label in values if label not in design.moderators]
    if strangers:
        raise ValueError(
            f"values={arguments.told(values)} names {strangers}, which do not change the effect in this design; "
            f"accepted are its moderators {list(design.moderators)}: multiply the treatment by them in the outcome "
            "formula."
        )
    accepted = "equally many finite numbers for each moderator"
    found = {label: np.atleast_1d(arguments.numbers(x, f"values[{label!r}]", accepted)) for label, x in values.items()}
    if len({x.shape for x in found.values()}) > 1 or any(x.ndim != 1 for x in found.values()):
        arguments.refuse("values", values, accepted)
    return found
