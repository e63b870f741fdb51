"""From a map to a judgement: how strong a hidden current is plausible, and what to do when nobody knows it."""

from collections.abc import Mapping
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.interpolate import CubicSpline
from scipy.optimize import brentq
from scipy.stats import t as student

from which_world import arguments
from which_world.classical import effect_at, finite, ols
from which_world.design import check_design, only, terms_of
from which_world.maps import between, chart_of, effect_of, refuse, unreliable
from which_world.moments import condensed
from which_world.priors import atanh_normal, check_reading, scales
from which_world.readings import weigh

FARTHEST = 0.99  # |ρ| beyond which no benchmark is looked for
FINE = 2001  # points at which actions are compared
WITHIN = "a pair (low, high) of increasing values of rho on the map, such as (-0.3, 0.3)"


def benchmark_rho(design, groups=None):
    """What ρ each measured covariate would have been, had it gone unmeasured.

    Parameters
    ----------
    design : Design
    groups : mapping of str to list of str, optional
        Covariates to leave out together, by the name of the group. Each is a label of `design.covariates`, a term
        that stands for all its dummies, or a variable of the data, that stands for every term it is part of:
        ``{"education": ["C(education)"], "tobacco": ["smokeyrs", "price"]}``. Left out, every variable is a group of
        its own: age leaves with age², with its products and as a moderator, for it would have been unmeasured in all
        of them. The row has the variable's name, or the term's where the variable stands in one term, alone.

    Returns
    -------
    pandas.DataFrame
        One row a group: ``rho``, the current that leaving it out would have made; ``alpha_without``, the
        least-squares effect without it, and ``change``, that effect less the full one (units of the outcome per unit
        of the treatment); for a binary outcome ``effect_without``, the probit's, and ``change``, both in percentage
        points (for the design's ``step`` of a continuous treatment); ``reason``, when ``rho`` is NaN, else empty.

    Raises
    ------
    ValueError
        When a group is empty, names a covariate the design does not have, or holds all of them.
    TypeError
        When `groups` is no mapping.

    Notes
    -----
    The group is left out of both equations. ``rho`` is the value at which the maximum-likelihood effect of the
    shortened model equals the full model's at ρ = 0: least squares, or the probit of a binary outcome. Where an
    equation has no finite estimate (an instrument without which nobody is treated, a rare level in which nobody
    died), modes of the posterior under the default priors stand for both. For a continuous treatment and outcome that
    is α_without - α = ρ/√(1-ρ²) · s_Y/s_T, with the shortened equations' residual standard deviations. Benchmarks of
    omitted variables against measured ones: Cinelli & Hazlett 2020 (JRSS B 82:39), in partial R².
    """
    if "binary" not in check_design(design).kinds:
        design = condensed(design)
    likely = finite(design)  # and so with fewer columns
    without = "effect_without" if design.outcome_kind == "binary" else "alpha_without"
    groups = _groups(design, groups)
    full = effect_at(design, 0.0, None if likely else scales(design))
    found = [current(only(design, ~np.isin(design.covariates, labels)), full, likely) for labels in groups.values()]
    table = pd.DataFrame(found, index=pd.Index(groups, name="left out"))
    return table.rename(columns={"without": without})


def current(short, full, likely=True):
    """The ρ at which a design has the effect `full`, with its effect at ρ = 0: a row of `benchmark_rho`.

    The root of effect(ρ) = full: outwards from ρ = 0 until the sign turns, then Brent's method.
    """
    prior = None if likely else scales(short)

    def excess(a):
        return effect_at(short, np.tanh(a), prior) - full

    here, end = excess(0.0), np.arctanh(FARTHEST)
    found = {"rho": 0.0, "without": full + here, "change": here, "reason": ""}
    if here == 0:
        return found
    side, near, step = np.sign(here), 0.0, 0.1  # the effect falls as ρ rises
    while near < end:
        far = min(near + step, end)
        if excess(side * far) * here <= 0:
            root = brentq(excess, *sorted((side * near, side * far)), xtol=1e-7)
            return found | {"rho": float(np.tanh(root))}
        near, step = far, 2 * step
    return found | {"rho": np.nan, "reason": f"no rho within {FARTHEST} of zero brings the full effect back"}


def left_together(design):
    """What leaves when a variable does: the name of its row, and the labels of every column that is made of it.

    The name is the term's where nothing in that term stands anywhere else: ``C(education)``, ``log(price / cpi)``.
    """
    terms, variables = terms_of(design)
    places = {}
    for place, names in enumerate(variables):
        for name in names:
            places.setdefault(name, []).append(place)
    found = {}
    for name, own in places.items():
        term, others = terms[own[0]], variables[own[0]]
        alone = all(places[other] == own for other in others) and len({terms[place] for place in own}) == 1
        found[term if alone else name] = [design.covariates[place] for place in own]
    return found


def _known(design):
    """Whatever a group may name, and the labels it stands for: a variable before a term or a label of its name."""
    terms, variables = terms_of(design)
    found = {label: [label] for label in design.covariates}
    for named in ([(term,) for term in terms], variables):
        by_name = {}
        for label, names in zip(design.covariates, named):
            for name in names:
                by_name.setdefault(name, []).append(label)
        found |= by_name
    return found


def _groups(design, groups):
    """Names and covariate labels of what is to be left out, checked."""
    if groups is None:
        return left_together(design)
    accepted = "a mapping of a name to its covariates: {'age': ['age']}"
    groups = arguments.mapping(groups, "groups", accepted, check=_members, least=min(1, len(design.covariates)))
    known, found = _known(design), {}
    for name, members in groups.items():
        if strangers := [member for member in members if member not in known]:
            raise ValueError(f"groups[{name!r}] names {strangers}; accepted are {sorted(known)}.")
        found[name] = [label for member in members for label in known[member]]
        if set(found[name]) == set(design.covariates):
            raise ValueError(
                f"groups[{name!r}] holds every covariate of the design, {found[name]}; accepted is a part of them."
            )
    return found


def _members(members, name):
    """Names of covariates, in a list."""
    accepted = "one name of a covariate or several, such as ['age', 'C(education)']"
    return arguments.listed([members] if isinstance(members, str) else members, name, accepted, kind=str, least=1)


def robustness_value(design, *, q=1.0, probability=None):
    """How much an unmeasured confounder must explain of both treatment and outcome to overturn least squares.

    Parameters
    ----------
    design : Design
    q : float
        The share of the effect to be explained away; 1 brings it to zero.
    probability : float, optional
        Explain away the effect's central interval of this probability, not only its estimate.

    Returns
    -------
    float
        The partial R² in [0, 1] of the confounder with the treatment, given the covariates, and (the same) with
        the outcome, given treatment and covariates. Zero when nothing is needed.

    Raises
    ------
    ValueError
        When `q` is not positive, or `probability` lies outside (0, 1).

    References
    ----------
    Cinelli & Hazlett 2020 (JRSS B 82:39): RV of the estimate and of its interval.
    """
    check_design(design)
    q, probability = arguments.positive(q, "q"), arguments.optional(arguments.probability, probability, "probability")
    result = ols(condensed(design))
    return _robustness(result.tvalues["alpha"], result.df_resid, q, probability)


def _robustness(t, df, q, probability):
    f = q * abs(t) / np.sqrt(df)
    limit = 0.0 if probability is None else student.ppf((1 + probability) / 2, df - 1) / np.sqrt(df - 1)
    if f <= limit:
        return 0.0
    if limit > 0 and f >= 1 / limit:  # a confounder that explains all of the outcome sets the bound
        return float((f**2 - limit**2) / (1 + f**2))
    g = f - limit
    return float(0.5 * (np.sqrt(g**4 + 4 * g**2) - g**2))


def e_value(ratio, *, limit=None):
    """How strongly an unmeasured confounder must go with both treatment and outcome to explain a risk ratio away.

    Parameters
    ----------
    ratio : float
        The risk ratio: the chance of the outcome under treatment over that without, as ``Y1`` over ``Y0`` of
        `potential_outcomes`.
    limit : float, optional
        The end of its interval that lies nearer to 1: its E-value instead.

    Returns
    -------
    float
        The risk ratio, 1 or more, that the confounder needs with the treatment and with the outcome, beyond the
        measured covariates. 1 when nothing is needed.

    Raises
    ------
    ValueError
        When a risk ratio is not positive, or `limit` lies farther from 1 than `ratio`.

    References
    ----------
    VanderWeele & Ding 2017 (Annals of Internal Medicine 167:268).
    """
    ratio = arguments.number(ratio, "ratio", low=0.0, accepted="a risk ratio, a positive number")
    if limit is not None:
        limit = arguments.number(limit, "limit", low=0.0, accepted="a risk ratio, a positive number")
        if (limit - ratio) * (ratio - 1) > 0:
            raise ValueError(f"limit={limit!r} lies farther from 1 than ratio={ratio!r}; accepted is the nearer end.")
        if (limit - 1) * (ratio - 1) <= 0:  # the interval holds 1 already
            return 1.0
    strong = ratio if limit is None else limit
    strong = max(strong, 1 / strong)
    return float(strong + np.sqrt(strong * (strong - 1)))


class Decision(NamedTuple):
    """What `decide` found; worlds are values of ρ.

    loss, regret : DataFrame, index ``rho``, one column an action: expected loss in each world, and what it exceeds
        the best action's by.
    actions : DataFrame, one row an action: ``max_regret`` over the worlds, ``expected_loss`` under the prior over ρ.
    ranges : DataFrame, ``action``, ``low`` and ``high``: from which ρ to which an action is best, in order of ρ.
    minimax_regret, bayes : str, the actions with the least of either column of `actions`.
    """

    loss: pd.DataFrame
    regret: pd.DataFrame
    actions: pd.DataFrame
    ranges: pd.DataFrame
    minimax_regret: str
    bayes: str


def decide(map, loss, *, actions, prior=None, likelihood=True, within=None):
    """Compare actions in every world of a map, and across them.

    Parameters
    ----------
    map : xarray.Dataset
        From `map_rho`.
    loss : function
        ``loss(action, effect)``: the loss, in units of the reader's choice, of an action if the effect is `effect`
        (α; for a binary outcome a difference in percentage points, and of a continuous treatment that of the map's
        ``step``). It is handed an array of effects and gives as many losses, or one number.
    actions : sequence of str, or mapping
        The actions by name. A mapping hands its values to `loss` in the names' stead: ``{"none": 0, "full": 12}``.
    prior : optional
        Prior over ρ for the Bayes action, as in `weigh`.
    likelihood : bool
        Whether the data have a say about ρ in the Bayes action; ``False`` is for a belief alone, as in `weigh`.
    within : pair of float, optional
        The plausible worlds: ρ from one number to the other. Left out, the whole map. The Bayes action weighs
        worlds by `prior` and does not look at this.

    Returns
    -------
    Decision

    Raises
    ------
    ValueError
        When there are fewer than two actions, or one that `loss` does not know; when losses are not finite or not
        as many as effects; when `within` is no range of the map; when a column within has Pareto k̂ > 0.7.

    References
    ----------
    Savage 1951 (JASA 46:55), for minimax regret.
    """
    chart_of(map)
    arguments.function(loss, "loss", "a function of an action and an array of effects: loss(action, effect)")
    prior = check_reading(atanh_normal() if prior is None else prior)
    arguments.flag(likelihood, "likelihood")
    actions, within = _actions(actions), arguments.optional(arguments.pair, within, "within", accepted=WITHIN)
    knots = np.arctanh(map.rho.values)
    weight = np.exp(map.log_weight.values)
    lost = [(weight * _losses(loss, *action, effect_of(map))).sum(axis=1) for action in actions.items()]
    low, high = _plausible(map, within)
    good = ~unreliable(map)
    line = CubicSpline(knots[good], np.transpose(lost)[good])
    a = np.array([low, *knots[(knots > low) & (knots < high)], high])
    expected = pd.DataFrame(line(a), columns=list(actions), index=pd.Index(np.tanh(a), name="rho"))
    regret = expected.sub(expected.min(axis=1), axis=0)
    posterior = weigh(map, prior, likelihood=likelihood).effect.values
    table = pd.DataFrame({
        "max_regret": regret.max(),
        "expected_loss": {name: _losses(loss, name, value, posterior).mean() for name, value in actions.items()},
    }).rename_axis("action")  # fmt: skip
    return Decision(
        expected,
        regret,
        table,
        _ranges(line, list(actions), low, high),
        table["max_regret"].idxmin(),
        table["expected_loss"].idxmin(),
    )


def _actions(actions):
    accepted = "two or more different names, or a mapping from them"
    names = list(actions) if isinstance(actions, Mapping) else arguments.listed(actions, "actions", accepted)
    if len(set(names)) < max(2, len(names)):
        arguments.refuse("actions", actions, accepted)
    return dict(actions) if isinstance(actions, Mapping) else {name: name for name in names}


def _plausible(map, within):
    """The ends of the range of worlds, in atanh ρ."""
    rho = map.rho.values
    low, high = (rho[0], rho[-1]) if within is None else within
    if not rho[0] <= low < high <= rho[-1]:
        raise ValueError(
            f"within={within!r}; accepted is a pair (low, high) of increasing values of rho on the map, which runs "
            f"from {rho[0]:.3f} to {rho[-1]:.3f}."
        )
    refuse(map, unreliable(map) & between(rho, low, high), "among the worlds to decide in")
    return np.arctanh(low), np.arctanh(high)


def _losses(loss, name, value, alpha):
    try:
        lost = np.asarray(loss(value, alpha), dtype=float)
    except KeyError as error:
        raise ValueError(f"actions holds {name!r}, and loss does not know it: {error!r}.") from error
    if lost.shape not in ((), alpha.shape):
        raise ValueError(
            f"loss gave the shape {lost.shape} for action {name!r} and effects of shape {alpha.shape}; accepted are "
            "as many losses as effects, or one number."
        )
    bad = int((~np.isfinite(lost)).sum())
    if bad:
        raise ValueError(f"loss gave {bad} infinite or undefined values for action {name!r}; accepted are numbers.")
    return np.broadcast_to(lost, alpha.shape)


def _ranges(line, names, low, high):
    """Runs of ρ over which one action is best, told apart where the splines of expected loss cross."""
    a = np.linspace(low, high, FINE)
    values = line(a)
    best = values.argmin(axis=1)
    turns = np.flatnonzero(np.diff(best))
    old, new = best[turns], best[turns + 1]
    before, after = (values[i, old] - values[i, new] for i in (turns, turns + 1))
    edges = a[turns] + (a[1] - a[0]) * before / (before - after)
    ends = np.tanh([low, *edges, high])
    runs = [(names[k], *pair) for k, pair in zip([*old, best[-1]], pairwise(ends))]
    return pd.DataFrame(runs, columns=["action", "low", "high"])
