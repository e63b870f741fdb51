"""From a map to a judgement: how strong a hidden current is plausible, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr
from joblib import delayed
from scipy.interpolate import CubicSpline
from scipy.optimize import brentq
from scipy.stats import t as student

from which_world import arguments
from which_world.classical import effect_at_rho, effect_line, effects_along, finite
from which_world.design import Design, check_design, check_few, terms_of, with_covariates
from which_world.maps import between, chart_of, effect_of, refuse_columns, unreliable
from which_world.moments import CACHED, condensed, on_one_thread, side_by_side
from which_world.priors import atanh_normal, check_reading, scales
from which_world.readings import weigh

if TYPE_CHECKING:
    from which_world.readings import Belief

FARTHEST_BENCHMARK = 0.99  # |ρ| beyond which no benchmark is looked for
FIRST_STEP = 0.1  # outwards from ρ = 0, in atanh ρ; each step doubles the one before
POINTS_COMPARED = 2001  # points at which actions are compared
GROUPS = "a mapping of a name to its covariates: {'age': ['age']}"
LOSS = "a function of an action and an array of effects: loss(action, effect)"
RATIO = "a risk ratio, a positive number"
A_RANGE_OF_RHO = "a pair (low, high) of increasing values of rho on the map, such as (-0.3, 0.3)"


@on_one_thread
def benchmark_rho(
    design: Design,
    groups: Mapping[str, str | Sequence[str]] | None = None,
) -> pd.DataFrame:
    """What ρ each measured covariate would have been, had it gone unmeasured.

    Parameters
    ----------
    design : Design
    groups : mapping of str to list of str, optional
        Covariates to leave out together, by the name of the group. Each is a label of
        `design.covariates`, a term that stands for all its dummies, or a variable of the data, that
        stands for every term it is part of:
        ``{"education": ["C(education)"], "tobacco": ["smokeyrs", "price"]}``. Left out, every
        variable is a group of its own: age leaves with age², with its products and as a moderator,
        for it would have been unmeasured in all of them. The row has the variable's name, or the
        term's where the variable stands in one term, alone.

    Returns
    -------
    pandas.DataFrame
        One row a group: ``rho``, the current that leaving it out would have made;
        ``alpha_without``, the least-squares effect without it, and ``change``, that effect less the
        full one (units of the outcome per unit of the treatment); for a binary outcome
        ``effect_without``, the probit's, and ``change``, both in percentage points (for the
        design's ``step`` of a continuous treatment); ``reason``, when ``rho`` is NaN, else empty.

    Raises
    ------
    ValueError
        When a group is empty, names a covariate the design does not have, or holds all of them.
    TypeError
        When `groups` is no mapping.

    See Also
    --------
    tipping_point : the ρ that would turn the sign, to hold against these.
    robustness_value : the same question in partial R².

    Notes
    -----
    The group is left out of both equations. ``rho`` is the value at which the maximum-likelihood
    effect of the shortened model equals the full model's at ρ = 0: least squares, or the probit of
    a binary outcome. Where an equation has no finite estimate (an instrument without which nobody
    is treated, a rare level in which nobody died), modes of the posterior under the default priors
    stand for both. For a continuous treatment and outcome that is
    α_without - α = ρ/√(1-ρ²) · s_Y/s_T, with the shortened equations' residual standard deviations.
    Benchmarks of omitted variables against measured ones: Cinelli & Hazlett 2020 (JRSS B 82:39), in
    partial R².

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from which_world import benchmark_rho, make_design
    >>> x, z, v, u = np.random.default_rng(0).normal(size=(4, 400))
    >>> data = pd.DataFrame({"x": x, "z": z, "t": x + v, "y": 2 * (x + v) + x + u})
    >>> design = make_design(data, outcome="y ~ t + x + z", treatment="t ~ x + z")
    >>> print(benchmark_rho(design)[["rho", "change"]].abs().round(1).to_dict("index"))
    {'x': {'rho': 0.5, 'change': 0.5}, 'z': {'rho': 0.0, 'change': 0.0}}
    """
    if "binary" not in check_few(design).kinds:
        design = condensed(design)
    has_estimates = finite(design)  # and so with fewer columns
    prior = None if has_estimates else scales(design)
    full = effect_at_rho(design, 0.0, prior)
    groups = _groups(design, groups)
    without = (
        with_covariates(design, ~np.isin(design.covariates, labels)) for labels in groups.values()
    )
    work = (delayed(restoring_rho)(short, full, has_estimates) for short in without)
    rows = side_by_side(work, len(design.y) >= CACHED)
    table = pd.DataFrame(rows, index=pd.Index(groups, name="left out"))
    read = "effect" if design.outcome_kind == "binary" else "alpha"
    return table.rename(columns={"without": f"{read}_without"})


def restoring_rho(short: Design, full: float, has_estimates: bool = True) -> dict[str, Any]:
    """The ρ at which a design has the effect `full`, with its effect at ρ = 0.

    A row of `benchmark_rho`: the root of effect(ρ) = full, outwards from ρ = 0 until the sign
    turns, then by Brent's method. Without finite estimates the default priors stand in.
    """
    effect = effects_along(short, None if has_estimates else scales(short))

    def excess(a):
        return effect(a) - full

    change, end = excess(0.0), np.arctanh(FARTHEST_BENCHMARK)
    row = {"rho": 0.0, "without": full + change, "change": change, "reason": ""}
    if change == 0:
        return row
    side = np.sign(change)  # the effect falls as ρ rises
    near, step = 0.0, FIRST_STEP
    while near < end:
        far = min(near + step, end)
        if excess(side * far) * change <= 0:
            low, high = sorted((side * near, side * far))
            return row | {"rho": float(np.tanh(brentq(excess, low, high, xtol=1e-7)))}
        near, step = far, 2 * step
    reason = f"no rho within {FARTHEST_BENCHMARK} of zero brings the full effect back"
    return row | {"rho": np.nan, "reason": reason}


def columns_by_variable(design: Design) -> dict[str, list[str]]:
    """What leaves when a variable does: the labels of every column that is made of it, by a name.

    The name is the variable's, or the term's where nothing in that term stands anywhere else:
    ``C(education)``, ``log(price / cpi)``.
    """
    terms, variables = terms_of(design)
    places: dict[str, list[int]] = {}
    for place, names in enumerate(variables):
        for name in names:
            places.setdefault(name, []).append(place)
    columns = {}
    for name, own in places.items():
        one_term = len({terms[place] for place in own}) == 1
        nowhere_else = all(places[other] == own for other in variables[own[0]])
        title = terms[own[0]] if one_term and nowhere_else else name
        columns[title] = [design.covariates[place] for place in own]
    return columns


def _labels_by_name(design):
    """Whatever a group may name, and the labels it stands for.

    Where names clash, a variable goes before a term, and a term before a label.
    """
    terms, variables = terms_of(design)
    labels = {label: [label] for label in design.covariates}
    for names_of_columns in ([(term,) for term in terms], variables):
        by_name = {}
        for label, names in zip(design.covariates, names_of_columns):
            for name in names:
                by_name.setdefault(name, []).append(label)
        labels |= by_name
    return labels


def _groups(design, groups):
    """Names and covariate labels of what is to be left out, checked."""
    if groups is None:
        return columns_by_variable(design)
    least = min(1, len(design.covariates))
    groups = arguments.mapping(groups, "groups", GROUPS, check=_members, least=least)
    accepted = _labels_by_name(design)
    labels = {}
    for name, members in groups.items():
        if strangers := [member for member in members if member not in accepted]:
            names = f"groups[{name!r}] names {strangers}"
            raise ValueError(f"{names}; accepted are {sorted(accepted)}.")
        labels[name] = [label for member in members for label in accepted[member]]
        if set(labels[name]) == set(design.covariates):
            holds = f"groups[{name!r}] holds every covariate of the design, {labels[name]}"
            raise ValueError(f"{holds}; accepted is a part of them.")
    return labels


def _members(members, name):
    """Names of covariates, in a list."""
    accepted = "one name of a covariate or several, such as ['age', 'C(education)']"
    members = [members] if isinstance(members, str) else members
    return arguments.listed(members, name, accepted, kind=str, least=1)


@on_one_thread
def robustness_value(
    design: Design,
    *,
    q: float = 1.0,
    probability: float | None = None,
) -> float:
    """The partial R² with treatment and outcome that a confounder needs to overturn least squares.

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
        The partial R² in [0, 1] of the confounder with the treatment, given the covariates, and
        (the same) with the outcome, given treatment and covariates. Zero when nothing is needed.

    Raises
    ------
    ValueError
        When `q` is not positive, or `probability` lies outside (0, 1).

    See Also
    --------
    benchmark_rho : what the measured covariates would have done.
    e_value : the same for a risk ratio.

    References
    ----------
    Cinelli & Hazlett 2020 (JRSS B 82:39): RV of the estimate and of its interval.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from which_world import make_design, robustness_value
    >>> x, v, u = np.random.default_rng(0).normal(size=(3, 400))
    >>> data = pd.DataFrame({"x": x, "t": x + v, "y": 0.5 * (x + v) + x + u})
    >>> design = make_design(data, outcome="y ~ t + x", treatment="t ~ x")
    >>> print(f"{robustness_value(design):.2f}, {robustness_value(design, probability=0.95):.2f}")
    0.41, 0.35
    """
    check_design(design)
    q = arguments.positive(q, "q")
    probability = arguments.optional(arguments.probability, probability, "probability")
    result = effect_line(design)
    return _robustness(result.tvalues["alpha"], result.df_resid, q, probability)


def _robustness(t, df, q, probability):
    """The robustness value from the t statistic of the effect; of its interval, if probable."""
    f = q * abs(t) / np.sqrt(df)
    limit = 0.0
    if probability is not None:
        limit = student.ppf((1 + probability) / 2, df - 1) / np.sqrt(df - 1)
    if f <= limit:
        return 0.0
    if limit > 0 and f >= 1 / limit:  # a confounder that explains all of the outcome sets the bound
        return float((f**2 - limit**2) / (1 + f**2))
    g = f - limit
    return float(0.5 * (np.sqrt(g**4 + 4 * g**2) - g**2))


def e_value(ratio: float, *, limit: float | None = None) -> float:
    """The risk ratio with treatment and outcome that a confounder needs to explain one away.

    Parameters
    ----------
    ratio : float
        The risk ratio: the chance of the outcome under treatment over that without, as ``Y1`` over
        ``Y0`` of `potential_outcomes`.
    limit : float, optional
        The end of its interval that lies nearer to 1: its E-value instead.

    Returns
    -------
    float
        The risk ratio, 1 or more, that the confounder needs with the treatment and with the
        outcome, beyond the measured covariates. 1 when nothing is needed.

    Raises
    ------
    ValueError
        When a risk ratio is not positive, or `limit` lies farther from 1 than `ratio`.

    See Also
    --------
    robustness_value : the same for a least-squares effect.
    potential_outcomes : the chances that make a risk ratio.

    References
    ----------
    VanderWeele & Ding 2017 (Annals of Internal Medicine 167:268).

    Examples
    --------
    >>> from which_world import e_value
    >>> print(f"{e_value(3.9):.2f}, {e_value(3.9, limit=1.8):.2f}")
    7.26, 3.00
    """
    ratio = arguments.number(ratio, "ratio", low=0.0, accepted=RATIO)
    nearer = ratio
    if limit is not None:
        nearer = arguments.number(limit, "limit", low=0.0, accepted=RATIO)
        if (nearer - ratio) * (ratio - 1) > 0:
            lies = f"limit={nearer!r} lies farther from 1 than ratio={ratio!r}"
            raise ValueError(f"{lies}; accepted is the nearer end.")
        if (nearer - 1) * (ratio - 1) <= 0:  # the interval holds 1 already
            return 1.0
    above_one = max(nearer, 1 / nearer)
    return float(above_one + np.sqrt(above_one * (above_one - 1)))


class Decision(NamedTuple):
    """What `decide` found; worlds are values of ρ.

    Attributes
    ----------
    loss, regret : DataFrame
        Index ``rho``, one column an action: expected loss in each world, and what it exceeds the
        best action's by.
    actions : DataFrame
        One row an action: ``max_regret`` over the worlds, ``expected_loss`` under the prior over ρ.
    ranges : DataFrame
        ``action``, ``low`` and ``high``: from which ρ to which an action is best, in order of ρ.
    minimax_regret, bayes : str
        The actions with the least of either column of `actions`.
    """

    loss: pd.DataFrame
    regret: pd.DataFrame
    actions: pd.DataFrame
    ranges: pd.DataFrame
    minimax_regret: Hashable
    bayes: Hashable


def decide(
    map: xr.Dataset,
    loss: Callable[[Any, np.ndarray], npt.ArrayLike],
    *,
    actions: Sequence[str] | Mapping[str, Any],
    prior: Belief | None = None,
    likelihood: bool = True,
    within: tuple[float, float] | None = None,
) -> Decision:
    """Expected losses and regrets of actions, in every world of a map and across them.

    Parameters
    ----------
    map : xarray.Dataset
        From `map_rho`.
    loss : function
        ``loss(action, effect)``: the loss, in units of the reader's choice, of an action if the
        effect is `effect` (α; for a binary outcome a difference in percentage points, and of a
        continuous treatment that of the map's ``step``). It is handed an array of effects and gives
        as many losses, or one number.
    actions : sequence of str, or mapping
        The actions by name. A mapping hands its values to `loss` in the names' stead:
        ``{"none": 0, "full": 12}``.
    prior : optional
        Prior over ρ for the Bayes action, as in `weigh`.
    likelihood : bool
        Whether the data have a say about ρ in the Bayes action; ``False`` is for a belief alone, as
        in `weigh`.
    within : pair of float, optional
        The plausible worlds: ρ from one number to the other. Left out, the whole map. The Bayes
        action weighs worlds by `prior` and does not look at this.

    Returns
    -------
    Decision
        ``loss`` and ``regret`` by ρ and action; ``actions``, with ``max_regret`` and
        ``expected_loss`` of each; ``ranges`` of ρ over which one is best; and the two chosen,
        ``minimax_regret`` and ``bayes``.

    Raises
    ------
    ValueError
        When there are fewer than two actions, or one that `loss` does not know; when losses are not
        finite or not as many as effects; when `within` is no range of the map; when a column within
        has Pareto k̂ > 0.7.

    See Also
    --------
    weigh : the reading behind the Bayes action.
    plot_decision : the regrets as a figure.

    References
    ----------
    Savage 1951 (JASA 46:55), for minimax regret.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from which_world import decide, make_design, map_rho
    >>> x, v, u = np.random.default_rng(0).normal(size=(3, 400))
    >>> data = pd.DataFrame({"x": x, "t": x + v, "y": 0.5 * (x + v) + x + u})
    >>> chart = map_rho(make_design(data, outcome="y ~ t + x", treatment="t ~ x"))
    >>> def loss(action, effect):
    ...     return 0.2 - effect if action == "act" else 0 * effect
    >>> decision = decide(chart, loss, actions=["act", "wait"], within=(-0.5, 0.5))
    >>> print(decision.bayes, decision.ranges.round(1).to_dict("records")[0])
    act {'action': 'act', 'low': -0.5, 'high': 0.3}
    """
    chart_of(map)
    arguments.function(loss, "loss", LOSS)
    prior = check_reading(atanh_normal() if prior is None else prior)
    arguments.flag(likelihood, "likelihood")
    values = _values(actions)
    within = arguments.optional(arguments.pair, within, "within", accepted=A_RANGE_OF_RHO)
    column_loss = _column_losses(map, loss, values)
    low, high = _plausible(map, within)
    knots, reliable = np.arctanh(map.rho.values), ~unreliable(map)
    line = CubicSpline(knots[reliable], column_loss[reliable])
    a = np.array([low, *knots[(knots > low) & (knots < high)], high])
    names = list(values)
    expected = pd.DataFrame(line(a), columns=names, index=pd.Index(np.tanh(a), name="rho"))
    regret = expected.sub(expected.min(axis=1), axis=0)
    effect = weigh(map, prior, likelihood=likelihood).effect.values
    bayes_loss = {name: _losses(loss, name, values[name], effect).mean() for name in names}
    table = pd.DataFrame({"max_regret": regret.max(), "expected_loss": bayes_loss})
    return Decision(
        loss=expected,
        regret=regret,
        actions=table.rename_axis("action"),
        ranges=_ranges(line, names, low, high),
        minimax_regret=table["max_regret"].idxmin(),
        bayes=table["expected_loss"].idxmin(),
    )


def _values(actions):
    """What each of two or more actions hands to the loss, by its name."""
    accepted = "two or more different names, or a mapping from them"
    if isinstance(actions, Mapping):
        by_name = dict(actions)
        names = list(by_name)
    else:
        names = arguments.listed(actions, "actions", accepted)
        by_name = {name: name for name in names}
    if len(by_name) < max(2, len(names)):
        arguments.refuse("actions", actions, accepted)
    return by_name


def _column_losses(map, loss, values):
    """The expected loss in each column of the map, by action: (columns, actions)."""
    weight, effect = np.exp(map.log_weight.values), effect_of(map)
    losses = [_losses(loss, name, value, effect) for name, value in values.items()]
    return np.transpose([(weight * each).sum(axis=1) for each in losses])


def _plausible(map, within):
    """The ends of the range of worlds, in atanh ρ."""
    rho = map.rho.values
    low, high = (rho[0], rho[-1]) if within is None else within
    if not rho[0] <= low < high <= rho[-1]:
        raise ValueError(
            f"within={within!r}; accepted is a pair (low, high) of increasing values of rho on the "
            f"map, which runs from {rho[0]:.3f} to {rho[-1]:.3f}."
        )
    refuse_columns(map, unreliable(map) & between(rho, low, high), "among the worlds to decide in")
    return np.arctanh(low), np.arctanh(high)


def _losses(loss, name, value, effect):
    """The loss of an action at each effect, checked."""
    try:
        losses = np.asarray(loss(value, effect), dtype=float)
    except KeyError as error:
        holds = f"actions holds {name!r}"
        raise ValueError(f"{holds}, and loss does not know it: {error!r}.") from error
    if losses.shape not in ((), effect.shape):
        raise ValueError(
            f"loss gave the shape {losses.shape} for action {name!r} and effects of shape "
            f"{effect.shape}; accepted are as many losses as effects, or one number."
        )
    bad = int((~np.isfinite(losses)).sum())
    if bad:
        gave = f"loss gave {bad} infinite or undefined values for action {name!r}"
        raise ValueError(f"{gave}; accepted are numbers.")
    return np.broadcast_to(losses, effect.shape)


def _ranges(line, names, low, high):
    """Runs of ρ over which one action is best, told apart where the splines of loss cross."""
    a = np.linspace(low, high, POINTS_COMPARED)
    losses = line(a)
    best = losses.argmin(axis=1)
    last = np.flatnonzero(np.diff(best))  # points after which another action is best
    old, new = best[last], best[last + 1]
    gap_before = losses[last, old] - losses[last, new]
    gap_after = losses[last + 1, old] - losses[last + 1, new]
    edges = a[last] + (a[1] - a[0]) * gap_before / (gap_before - gap_after)
    ends = np.tanh([low, *edges, high])
    actions = [names[k] for k in [*old, best[-1]]]
    ranges = [(action, *pair) for action, pair in zip(actions, pairwise(ends))]
    return pd.DataFrame(ranges, columns=["action", "low", "high"])
