"""From draws to potential outcomes: what each fish would have been in the other water.

Given the parameters, a fish's own error is known: U = y - intercept_O - x'β_O - (α + w'δ) t. It
stays with the fish in either water, so the missing potential outcome is imputed exactly, draw by
draw::

    Y(s) = y + (α + w'δ)(s - t)

The observed half is data; only the other half is uncertain. Of a yes or a no only the side of zero
on which intercept_O + x'β_O + (α + w'δ) t + U fell is known, and the other half is a chance.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from which_world import arguments
from which_world.design import Design, check_rows
from which_world.engine.counterfactual import CHUNK, POINTS, average_effect, imputed_chances
from which_world.engine.draws import vectors
from which_world.engine.likelihoods import Rows
from which_world.moments import cuts, on_one_thread

EVERYONE = "everyone"


@on_one_thread
def potential_outcomes(
    idata: xr.DataTree, design: Design, *, levels: Sequence[float] = (0.0, 1.0)
) -> xr.Dataset:
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
        Dims ``chain``, ``draw`` and ``group``: ``"everyone"`` and, for a binary treatment,
        ``"treated"`` and ``"untreated"``. ``Y0`` and ``Y1`` are the group's mean outcome (units of
        the outcome) with the treatment set to the first and the second level; ``effect`` is Y1 -
        Y0: the average effect over everyone (ATE), on the treated (ATT) and on the untreated (ATU).
        For a binary outcome all three are in percentage points.

    Raises
    ------
    ValueError
        When `idata` is a fit of another design (other rows, values, covariates or moderators), or
        `levels` are not two different numbers.

    Notes
    -----
    One error in both waters is an assumption of the model: given its covariates, no fish gains more
    than another, and the treated did not choose by their gain. The means are of this sample, not of
    the population it came from. Potential outcomes: Rubin 1974 (Journal of Educational Psychology
    66:688).

    See Also
    --------
    effect_at : the effect at chosen values of the moderators.

    Examples
    --------
    Of two hundred fish the treated gain 2; draws of the effect are an average's:

    >>> import numpy as np, pandas as pd
    >>> from which_world import fit, joint_model, make_design, potential_outcomes
    >>> rng = np.random.default_rng(0)
    >>> table = pd.DataFrame({"T": np.resize([0, 1], 200), "X": rng.normal(size=200)})
    >>> table["Y"] = 2 * table["T"] + table["X"] + rng.normal(size=200)
    >>> design = make_design(table, outcome="Y ~ T + X", treatment="T ~ X")
    >>> outcomes = potential_outcomes(fit(joint_model(design, rho=0.0)), design)
    >>> outcomes["group"].values.tolist()
    ['everyone', 'treated', 'untreated']
    >>> effect = outcomes["effect"].sel(group="everyone").mean()
    >>> bool(abs(effect - 2) < 0.5)
    True
    """
    pair = _levels(levels)
    alpha, delta = _draws(idata, check_rows(design))
    if design.outcome_kind == "binary":
        return _chances(idata["posterior"].to_dataset(), design, pair)
    groups = _groups(design)
    means = [_means(design, alpha, delta, members, pair) for members in groups.values()]
    return xr.concat(means, dim=xr.Variable("group", list(groups), {"long_name": "whose mean"}))


def effect_at(
    idata: xr.DataTree, design: Design, values: Mapping[str, npt.ArrayLike]
) -> xr.DataArray:
    """The effect at chosen values of the moderators.

    Parameters
    ----------
    idata : xarray.DataTree
        From `fit`, of this design.
    design : Design
        With moderators: its outcome formula multiplies the treatment by covariates.
    values : mapping of str to sequence of float
        Values in the reader's units by label of `design.moderators`, all equally many: ``{"age":
        [30, 60]}``. A dummy takes 0 or 1. Moderators left out stay at their average.

    Returns
    -------
    xarray.DataArray
        Dims ``chain``, ``draw`` and ``at``; the values are coordinates along ``at``. Units of the
        outcome per unit of the treatment; for a binary outcome percentage points, averaged over
        rows that all have these values beside the dose and the error of their own.

    Raises
    ------
    ValueError
        When `idata` is a fit of another design, a label is no moderator, or the values are not
        equally many finite numbers.

    See Also
    --------
    potential_outcomes : averages over the rows at hand.

    Examples
    --------
    An effect that grows by one for each unit of X:

    >>> import numpy as np, pandas as pd
    >>> from which_world import effect_at, fit, joint_model, make_design
    >>> rng = np.random.default_rng(0)
    >>> table = pd.DataFrame(rng.normal(size=(400, 2)), columns=["T", "X"])
    >>> table["Y"] = (2 + table["X"]) * table["T"] + 0.1 * rng.normal(size=400)
    >>> design = make_design(table, outcome="Y ~ T * X", treatment="T ~ X")
    >>> idata = fit(joint_model(design, rho=0.0))
    >>> effect_at(idata, design, {"X": [-1, 1]}).mean(["chain", "draw"]).values.round(1)
    array([1., 3.])
    """
    alpha, delta = _draws(idata, check_rows(design))
    places = _values(values, design)
    standardised = _standardised(places, design)
    if design.outcome_kind == "binary":
        effect = _chance_at(idata["posterior"].to_dataset(), design, standardised)
    else:
        effect = (alpha + (delta * standardised).sum("moderator")).transpose(..., "at")
    coordinates = {label: ("at", numbers) for label, numbers in places.items()}
    return effect.assign_coords(coordinates).rename("effect")


def _standardised(places: Mapping[str, np.ndarray], design: Design) -> xr.DataArray:
    """Values of the moderators (at, moderator) as the design has them; those left out are zero."""
    size = len(next(iter(places.values())))
    table = xr.DataArray(
        np.zeros((size, len(design.moderators))),
        dims=("at", "moderator"),
        coords={"moderator": list(design.moderators)},
    )
    for label, numbers in places.items():
        raw = design.scales.loc[label]
        table.loc[{"moderator": label}] = (numbers - raw["mean"]) / raw["sd"]
    return table


def _draws(idata: xr.DataTree, design: Design) -> tuple[xr.DataArray, xr.DataArray]:
    """α (chain, draw) and δ (chain, draw, moderator); without moderators the latter is empty."""
    needs = ("alpha", "rho") if design.outcome_kind == "binary" else ("alpha",)
    posterior = arguments.fitted(idata, needs=needs)["posterior"].to_dataset()
    differences = list(_differences(idata, design))
    if differences:
        raise ValueError(
            f"idata={arguments.brief(idata)} is no fit of design={design!r}: "
            f"{'; '.join(differences)}; accepted is a fit of this design: fit(design), or of a "
            "model made from it."
        )
    alpha = posterior["alpha"]
    delta = posterior["delta"] if design.moderators else alpha.expand_dims(moderator=0, axis=-1)
    return alpha, delta


def _differences(idata: xr.DataTree, design: Design) -> Iterator[str]:
    """In which a fit and a design differ: rows, values, covariates, moderators.

    What a fit does not hold is not asked for.
    """
    posterior = idata["posterior"].to_dataset()
    data = xr.Dataset()
    if "observed_data" in idata.children:
        data = idata["observed_data"].to_dataset()
    responses = (("outcome", design.outcome, design.y), ("treatment", design.treatment, design.t))
    for name, label, own in responses:
        node = f"likelihood_{name}"
        fitted = data[node].values if node in data else own
        if len(fitted) != len(own):
            yield f"it has {len(fitted):,} rows of the {name}, the design {len(own):,}"
        elif not np.array_equal(fitted, own):
            yield f"it has other values of the {name} {label!r}"
    beta, delta = posterior.get("beta_O"), posterior.get("delta")
    covariates = list(design.covariates)
    if beta is not None and "covariate" in beta.coords:
        covariates = list(beta["covariate"].values)
    if covariates != list(design.covariates):
        yield _other("covariates", covariates, design.covariates)
    moderators = [] if delta is None else list(delta["moderator"].values)
    if moderators != list(design.moderators):
        yield _other("moderators", moderators, design.moderators)


def _other(name: str, fitted: Sequence[Any], own: Sequence[str]) -> str:
    """The labels that a fit has where the design has its own, in words."""
    return f"it has the {name} {[str(label) for label in fitted]}, the design {list(own)}"


def _groups(design: Design) -> dict[str, np.ndarray]:
    """By group, which rows belong to it, a mask of shape (n,)."""
    everyone = {EVERYONE: np.ones(design.n, dtype=bool)}
    if design.kind != "binary":
        return everyone
    return everyone | {"treated": design.t == 1, "untreated": design.t == 0}


def _means(
    design: Design,
    alpha: xr.DataArray,
    delta: xr.DataArray,
    members: np.ndarray,
    levels: Sequence[float],
) -> xr.Dataset:
    """Mean potential outcomes of some rows.

    Effects are linear in α and δ, so the rows are averaged before the draws come in.
    """
    y, t, M = design.y[members].mean(), design.t[members], design.M[members]
    means = []
    for level in levels:
        change = level - t
        of_delta = xr.DataArray((M * change[:, None]).mean(axis=0), dims="moderator")
        means.append(y + alpha * change.mean() + (delta * of_delta).sum("moderator"))
    Y0, Y1 = means
    return xr.Dataset({"Y0": Y0, "Y1": Y1, "effect": Y1 - Y0})


def _chances(posterior: xr.Dataset, design: Design, levels: Sequence[float]) -> xr.Dataset:
    """Mean chances of a one, in percent, at both levels.

    A row's own outcome where it stands, a chance where it does not.
    """
    rows = Rows.of(design, compress=False)
    draws = posterior.stack(sample=("chain", "draw"))
    theta, a = _lines(draws, design), np.arctanh(draws["rho"].values)
    last = len(rows.names_O) - 1
    alpha = theta[:, last : last + 1]
    delta = theta[:, last - len(design.moderators) : last]
    groups = _groups(design)
    weights = np.array([members / members.sum() for members in groups.values()]).T
    means: tuple[list, list] = [], []
    for part in cuts(len(theta), max(1, CHUNK // design.n)):
        effect = alpha[part] + delta[part] @ design.M.T
        for level, of_level in zip(levels, means):
            change = effect * (level - design.t)
            chances = imputed_chances(rows, theta[part], a[part], change)
            of_level.append(chances @ weights)
    shape = (posterior.sizes["chain"], posterior.sizes["draw"], len(groups))
    Y0, Y1 = (POINTS * np.concatenate(of_level).reshape(shape) for of_level in means)
    coordinates = {"chain": posterior.chain, "draw": posterior.draw, "group": list(groups)}
    dims = tuple(coordinates)
    variables = {"Y0": (dims, Y0), "Y1": (dims, Y1), "effect": (dims, Y1 - Y0)}
    return xr.Dataset(variables, coords=coordinates)


def _chance_at(posterior: xr.Dataset, design: Design, places: xr.DataArray) -> xr.DataArray:
    """The average risk difference, had every row these values of the moderators (at, moderator)."""
    draws = posterior.stack(sample=("chain", "draw"))
    theta, a = _lines(draws, design), np.arctanh(draws["rho"].values)
    shape = posterior.sizes["chain"], posterior.sizes["draw"]
    effects = [average_effect(design, theta, a, at=at).reshape(shape) for at in places.values]
    coordinates = {"chain": posterior.chain, "draw": posterior.draw}
    return xr.DataArray(np.stack(effects, axis=-1), dims=(*coordinates, "at"), coords=coordinates)


def _lines(draws: xr.Dataset, design: Design) -> np.ndarray:
    """θ of the draws, if both equations are lines: a forest's trees are not among its draws."""
    used = {"outcome": ("beta_O", design.in_outcome), "treatment": ("beta_T", design.in_treatment)}
    forests = [
        name for name, (beta, columns) in used.items() if columns.any() and beta not in draws
    ]
    if forests:
        raise ValueError(
            f"idata has a forest in the {' and the '.join(forests)} equation, and a row's chances "
            "need its "
            "trees; accepted is a fit whose equations are lines. The average effect, in percentage "
            'points, is idata["posterior"]["effect"].'
        )
    return vectors(draws, design)


def _levels(levels: Any) -> tuple[float, float]:
    """Two different finite numbers."""
    accepted = "a pair of different numbers, such as (0, 1)"
    low, high = arguments.pair(levels, "levels", accepted)
    if low == high:
        arguments.refuse("levels", levels, accepted)
    return low, high


def _values(values: Any, design: Design) -> dict[str, np.ndarray]:
    """Values of moderators by label, equally many of each."""
    if not isinstance(values, Mapping) or not values:
        accepted = "a mapping of moderators to their values: {'age': [30, 60]}"
        arguments.refuse("values", values, accepted)
    strangers = [label for label in values if label not in design.moderators]
    if strangers:
        raise ValueError(
            f"values={arguments.brief(values)} names {strangers}, which do not change the effect "
            f"in this design; accepted are its moderators {list(design.moderators)}: multiply the "
            "treatment by them in the outcome formula."
        )
    accepted = "equally many finite numbers for each moderator"
    places = {
        label: np.atleast_1d(arguments.numbers(numbers, f"values[{label!r}]", accepted))
        for label, numbers in values.items()
    }
    shapes = {numbers.shape for numbers in places.values()}
    if len(shapes) > 1 or len(shapes.pop()) != 1:
        arguments.refuse("values", values, accepted)
    return places
