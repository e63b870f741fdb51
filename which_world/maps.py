"""The map: the posterior of α at every ρ, and the evidence of each; `readings` reads it.

What is read off a map is the ``effect``: α itself, or for a binary outcome the average difference
in its chance.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import xarray as xr
from arviz_stats.base import array_stats
from joblib import Parallel, cpu_count, delayed
from numpy.polynomial import Polynomial
from scipy.interpolate import CubicSpline
from scipy.special import gammaln, logsumexp, stdtrit
from scipy.stats import chi2, norm
from scipy.stats.qmc import Sobol

from which_world import arguments
from which_world.classical import effect_at_rho, finite, maximum_likelihood
from which_world.design import check_design, terms_of, warn_long
from which_world.engine import conjugate
from which_world.engine.counterfactual import average_effect, effect_slope
from which_world.engine.laplace import PARETO_K, answered, columns, log_posterior, matched
from which_world.engine.likelihoods import LOG_2PI, rows_of
from which_world.engine.pairs import PAIRS
from which_world.moments import on_one_thread
from which_world.priors import scales

if TYPE_CHECKING:
    from which_world.design import Design
    from which_world.priors import Normal, UnitInformation

WORK = 2**23  # rows times draws of one column beyond which few draws are weighed, if these are calm
# how many, more where the first are not calm: the sd of log weights, times √(128/tried), up to
# which the others follow from them; and the share of an effect's variance that they may miss
TRIED, CALM, BENT = (32, 128), 0.2, 0.0025
PULLED = 0.25  # standard errors by which priors may move the effect at ρ = 0 without a word
PROBED = 512  # draws at ρ = 0 that show it
# nodes in atanh ρ, twice as far apart where rows are many; and the sds or logs by which others may
# miss one
COLUMN_STEP, FEWEST_COLUMNS, MISSED = 0.3, 7, 0.2
WIDER_ROUNDS = 3  # of better proposals, at most, for a column whose weights cannot be relied on
# rows times proposals of a column: so many are cheap, or worth it where it leans
FEW_ROWS, LEANING = 800_000, 2**21
MORE = 3  # doublings of the draws, at most
UPRIGHT = 0.6  # share of Gaussian draws that count, below which a column leans
# degrees of freedom of a Student t whose tails are as long as those of a column of few rows
LIGHT = 10.0
# seconds a row, of steps in the making of a map, on one core: of a yes or a no its kernel
EXACT, DRAWN, SQUARED = 3e-10, 6e-10, 4e-10
KERNEL = {"continuous": 2e-8, "binary": 1.2e-7}  # by the outcome's kind
NUMBER, CUBE = 5e-8, 1e-9
GRID = np.tanh(np.linspace(-2.4, 2.4, 49))  # ρ from -0.98 to 0.98, evenly in atanh ρ


@on_one_thread
def map_rho(
    design: Design,
    *,
    rho: Sequence[float] | np.ndarray = GRID,
    coefficients: Normal | UnitInformation | None = None,
    alpha: float | None = None,
    sigma: float | None = None,
    draws: int = 512,
    seed: int = 0,
) -> xr.Dataset:
    """Fit everything but ρ at each ρ of a grid.

    Parameters
    ----------
    design : Design
    rho : sequence of float, increasing, in (-1, 1)
        At least five values; even steps in atanh ρ serve best. Readings interpolate between them.
    coefficients, alpha, sigma
        The prior, as in `joint_model`.
    draws : int
        Draws at each ρ, from the same scrambled Sobol points in every column; a power of two serves
        best.
    seed : int

    Returns
    -------
    xarray.Dataset
        Dims ``rho`` and ``draw``. ``effect`` (rho, draw), what readings read: the same as ``alpha``
        (units of the outcome per unit of the treatment), or for a binary outcome the average
        difference that the treatment makes to its chance, in percentage points, everybody keeping
        her own error: at 1 against at 0, or, if continuous, higher by the design's ``step`` (an
        attribute) than it was. ``alpha`` is then the shift of its index, per unit. With
        ``log_weight`` (rho, draw; normalised, so that each column's weights sum to one);
        ``log_evidence`` (rho), of data given ρ; ``pareto_k`` and ``ess`` (rho), the reliability of
        each column.

    Raises
    ------
    ValueError
        When `rho` is not increasing within (-1, 1).

    Warns
    -----
    UserWarning
        Before any work, when rows and covariates are so many that a map takes long. Afterwards,
        when the priors move the effect at ρ = 0 by more than a quarter of its standard error from
        the classical estimate (the attribute ``pulled`` says by how many), and naming the columns
        whose Pareto k̂ exceeds 0.7. They are kept, and no reading leans on them: `read_map`
        leaves them empty, the others refuse.

    Notes
    -----
    Where outcome and treatment are continuous a column is exact but for an integral over its two
    scales, however many covariates there are. Elsewhere: mode by Newton's method, Laplace
    approximation, then importance weights with Pareto smoothing (Vehtari et al. 2024), of
    randomised quasi-Monte Carlo draws; ``ess`` reports the error of all that were proposed.

    *Few rows.* A posterior has longer tails than a Gaussian then. A first round of Student t draws
    shows its mean and spread, up to eight times `draws` are proposed with these, and the map holds
    their quantiles as `draws` equal draws. With more rows all columns are drawn in this way where
    one cannot be relied on otherwise, as where nobody of a rare level said yes.

    *Many rows.* The log weights hardly vary: 32 are computed, or 128, and the others follow from a
    cubic of what is read through these, as a binary outcome's effect does.

    *A long grid.* Some columns are weighed, 0.3 apart in atanh ρ (0.6 where rows are many), and
    more beside each that a spline through the others misses by a fifth of its standard deviation,
    or of a log. A column between has its own mode; its draws, weights and evidence are splines, and
    its ``pareto_k`` is the worse of its two neighbours'. Measured where |ρ| ≤ 0.95, splines move
    means by less than 0.01 and ends of intervals by less than 0.1 standard deviations; by 0.02 and
    0.2, which is the noise of the draws, where nobody of a level said yes.

    *Rows in pieces.* Where a response is binary each step reads them once for all ρ: Newton's steps
    from the modes of a part of the rows, then the draws of all weighed columns; some fifteen to
    twenty readings, on the Dask cluster at hand or on threads. The map is that of rows in memory.

    See Also
    --------
    read_map : the map as a table.
    tipping_point : the ρ that puts the sign in doubt.
    weigh : a belief about ρ, laid on the map.

    Examples
    --------
    Two hundred rows with a slope of 2, and the effect that it would stand for at five ρ:

    >>> import numpy as np, pandas as pd
    >>> from which_world import make_design, map_rho, read_map
    >>> rng = np.random.default_rng(0)
    >>> data = pd.DataFrame({"t": rng.normal(size=200)})
    >>> data["y"] = 2 * data["t"] + rng.normal(size=200)
    >>> design = make_design(data, outcome="y ~ t", treatment="t ~ 1")
    >>> chart = map_rho(design, rho=[-0.8, -0.5, 0, 0.5, 0.8])
    >>> read_map(chart)["mean"].round(1).to_dict()
    {-0.8: 3.3, -0.5: 2.5, 0.0: 1.9, 0.5: 1.3, 0.8: 0.5}
    """
    started = time.perf_counter()
    check_design(design)
    rho, draws, seed = _grid(rho), arguments.count(draws, "draws", least=100), arguments.seed(seed)
    _warn_long(design, rho, draws)
    rows, prior = rows_of(design), scales(design, coefficients, alpha=alpha, sigma=sigma)
    if PAIRS[design.kinds].compressible:
        columns_of = partial(_exact, conjugate.sums(rows, prior))
    else:
        columns_of = partial(_weighted, design, rows, prior)
    shift, effect, weight, evidence, k_hat, ess = (
        np.array(part) for part in zip(*columns_of(np.arctanh(rho), draws, seed))
    )
    _warn(rho, ~(k_hat <= PARETO_K))  # NaN is no pass
    chart = xr.Dataset(
        {
            "effect": (("rho", "draw"), effect),
            "alpha": (("rho", "draw"), shift),
            "log_weight": (("rho", "draw"), weight),
            "log_evidence": ("rho", evidence),
            "pareto_k": ("rho", k_hat),
            "ess": ("rho", ess),
        },
        coords={"rho": rho, "draw": np.arange(draws)},
        attrs={
            "outcome": design.outcome,
            "treatment": design.treatment,
            "outcome_kind": design.outcome_kind,
            "step": design.step,
            "n": design.n,
            "parameters": rows.size,
            "seconds": time.perf_counter() - started,
        },
    )
    chart.attrs |= _pulled(design, rows, prior, columns_of)
    return chart


def _pulled(design, rows, prior, columns_of):
    """By how many standard errors the priors move the effect at ρ = 0 from the classical one;
    warned of if it counts.

    That is least squares beside the mean of a column, or for a binary response maximum likelihood
    beside the mode of the posterior: a mean and a mode differ without any prior.
    """
    if "binary" in design.kinds:
        if not finite(design):
            return {}
        classical = maximum_likelihood(design, rho=0.0)
        estimate, se, column = (
            classical.effect,
            classical.effect_se,
            effect_at_rho(design, 0.0, prior),
        )
    else:
        estimate, se = _least_squares(rows)
        alpha, _, weight, *_ = columns_of([0.0], PROBED, 0)[0]
        column = np.exp(weight) @ alpha
    pulled = float((column - estimate) / se)
    if not abs(pulled) <= PULLED:
        arguments.warn(
            f"the priors move the effect at rho = 0 by {abs(pulled):.2f} of its standard error, "
            f"from {estimate:.4g} "
            f"without priors to {column:.4g}; accepted are wider ones, such as the defaults: "
            "alpha=None, "
            "coefficients=unit_information()."
        )
    return {"pulled": pulled}


def _least_squares(rows):
    """α by least squares and its standard error, of compressed rows.

    Their columns are a triangle, whose last row of the outcome's has α alone.
    """
    size = len(rows.names_O)
    own = abs(rows.A[size - 1, -1])
    left = np.sum(rows.y[size:] ** 2) / (rows.n - size)
    return rows.y[size - 1] / rows.A[size - 1, -1], np.sqrt(left) / own


def stepped(attrs):
    """What a table tells of the change in the treatment that its effects are read for:
    nothing of one unit.
    """
    step = attrs.get("step", 1.0)
    return {} if step == 1 else {"treatment": attrs["treatment"], "step": step}


def _warn_long(design, rho, draws):
    """Say how long a map takes, before any work, where columns and rows are very many."""
    m, p = 2 + design.in_outcome.sum() + design.in_treatment.sum(), design.C.shape[1]
    exact = PAIRS[design.kinds].compressible
    n = len(design.y) if exact else design.n
    newton = len(rho) * SQUARED * m**2
    many = n * draws > WORK
    weighed = TRIED[0] if many else draws
    weighed *= len(_nodes(np.arctanh(rho), many)) * (DRAWN * m + KERNEL[design.outcome_kind])
    # a factor's levels are swept out
    rest = p - max(Counter(terms_of(design)[0]).values(), default=0)
    swept = n * (EXACT * rest**2 + NUMBER * p) + CUBE * p**3
    seconds = swept if exact else n * (newton + weighed)
    warn_long(
        seconds, f"a map of {len(rho)} columns, with {p:,} covariates in {n:,} rows,", not exact
    )


def _warn(rho, bad):
    if bad.any():
        arguments.warn(
            f"Pareto k̂ exceeds {PARETO_K} in {bad.sum()} of {len(bad)} columns, rho "
            f"{stretches(rho, bad)}: "
            "their weighted draws stand for too little, and readings leave them out or refuse. "
            "Accepted are more "
            "draws, fewer terms, tighter priors, or NUTS: fit(joint_model(design, rho=...))."
        )


def _grid(rho):
    found = arguments.numbers(
        rho, "rho", accepted := "a grid of five or more increasing numbers in (-1, 1)"
    )
    if (
        found.ndim != 1
        or len(found) < 5
        or not (np.all(np.abs(found) < 1) and np.all(np.diff(found) > 0))
    ):
        arguments.refuse("rho", rho, accepted)
    return found


class Points(NamedTuple):
    """Standard draws (P, m) that every column's proposals are made of, and their log density."""

    z: np.ndarray
    log_density: np.ndarray


def _sobol(size, draws, seed):
    """Scrambled Sobol points, shape (draws, size)."""
    return Sobol(size, rng=np.random.default_rng(seed)).random_base2(int(np.ceil(np.log2(draws))))[
        :draws
    ]


def _gaussian(size, draws, seed):
    z = norm.ppf(_sobol(size, draws, seed))
    return Points(z, -0.5 * (z**2).sum(axis=1) - 0.5 * size * LOG_2PI)


def _student(size, draws, seed):
    """Of a multivariate t, whose tails are as long as a column's; the first entry is the inverse of
    the first point.

    In many dimensions its degrees of freedom grow with these, or most draws would lie where no
    posterior is.
    """
    u, df = _sobol(size + 1, draws, seed), max(LIGHT, size)
    first = stdtrit(df, u[:, 0])  # the others, given it, are a t again
    spread = np.sqrt((df + first**2) / chi2.ppf(u[:, -1], df + 1))
    z = np.column_stack([first, norm.ppf(u[:, 1:-1]) * spread[:, None]])
    constant = gammaln((df + size) / 2) - gammaln(df / 2) - 0.5 * size * np.log(df * np.pi)
    return Points(z, constant - 0.5 * (df + size) * np.log1p((z**2).sum(axis=1) / df))


def _exact(sums, a, draws, seed):
    """Columns of two continuous responses, as `_weighted` gives them."""
    proposals = draws * _times(FEW_ROWS / (sums.n * draws))
    near = conjugate.guess(sums)
    z = norm.ppf(_sobol(3, proposals, seed))[:, [1, 2, 0]]  # the most even of the three moves α
    every = []
    for each in a:
        alpha, *rest = conjugate.column(sums, each, near + [np.log(np.cosh(each)), 0.0], z)
        every.append((alpha, alpha, *rest, _effective(rest[0])))
    return every if proposals == draws else [_thinned(column, draws) for column in every]


def _weighted(design, rows, prior, a, draws, seed):
    """Each column's α and effect, draw by draw, with log weights, log evidence, Pareto k̂ and
    effective size.

    Every column has its own mode, but draws are weighed in some: what is left of a column then, in
    units of its Gaussian, is smooth in a, and the others have it by splines. All are made of the
    same points. Where rows are few a draw costs little and a column's tails are long: then there
    are more, of a Student t that has the mean and spread that a first round shows, thinned back to
    `draws`.
    """
    found, place = columns(rows, prior, a), len(rows.names_O) - 1
    propose = partial(_proposed, design, rows, prior, found)
    proposals, plain = _proposals(propose, len(a), rows.n, rows.size, draws, seed)
    points, more = (_student(rows.size, size, seed) for size in (draws, proposals))

    def patiently(some):
        every = propose(some, rounds=[points, *[more] * WIDER_ROUNDS], least=1)
        return [_thinned(column, draws) for column in every]

    plainly = partial(propose, rounds=[_gaussian(rows.size, draws, seed)], least=0)
    middle = np.column_stack([found.mode[:, place], average_effect(design, found.mode, found.a)])
    frame = Frame(found.a, middle, np.linalg.norm(found.root[:, place], axis=1), found.log_evidence)
    nodes = _nodes(found.a, rows.n * draws > WORK)
    every = _filled(frame, nodes, plainly, refine=False) if plain else None
    return every or _filled(frame, nodes, patiently)


class Frame(NamedTuple):
    """What each of K columns is before draws are weighed.

    `middle` (K, 2) holds α and the effect at the mode, `unit` (K,) the Gaussian's sd of α, and
    `log_evidence` is its.
    """

    a: np.ndarray
    middle: np.ndarray
    unit: np.ndarray
    log_evidence: np.ndarray


def _filled(frame, nodes, propose, refine=True):
    """All columns, of which `propose` makes a few, `nodes`, and more beside each that cannot be
    relied on or predicted.

    None where some cannot be relied on and nothing is to be refined.
    """
    known, new = {}, nodes
    while len(new):
        known |= zip(new, propose(new))
        nodes = np.array(sorted(known))
        every = [np.array(part) for part in zip(*(known[k] for k in nodes))]
        bad = ~(every[4] <= PARETO_K)
        if bad.any() and not refine:
            return None
        new = _beside(nodes, bad | _missed(frame, nodes, every))
    return (
        [known[k] for k in nodes] if len(nodes) == len(frame.a) else _between(frame, nodes, every)
    )


def _nodes(a, many=False):
    """Columns of which draws are weighed: evenly spaced, and all where these are few.

    Of many rows there is little that a Gaussian lacks, and half as many tell it.
    """
    steps = (a[-1] - a[0]) / COLUMN_STEP / (2 if many else 1)
    places = np.linspace(a[0], a[-1], max(FEWEST_COLUMNS, int(np.ceil(steps - 1e-9)) + 1))
    return np.unique(np.abs(a[:, None] - places).argmin(axis=0))


def _beside(nodes, wanting):
    """The columns halfway to the next nodes on both sides of those that are wanting."""
    gaps = np.flatnonzero(wanting[1:] | wanting[:-1])
    return np.setdiff1d((nodes[gaps] + nodes[gaps + 1]) // 2, nodes)


def _missed(frame, nodes, every):
    """Which nodes a spline through all others misses, in mean, spread or evidence:
    twice as far apart, it errs more.
    """
    _, effect, weight, evidence, *_ = every
    mean = (np.exp(weight) * effect).sum(axis=1)
    sd = np.sqrt((np.exp(weight) * (effect - mean[:, None]) ** 2).sum(axis=1))
    told = np.column_stack(
        [
            (mean - frame.middle[nodes, 1]) / sd,
            np.log(sd / frame.unit[nodes]),
            evidence - frame.log_evidence[nodes],
        ]
    )
    a, missed = frame.a[nodes], np.zeros(len(nodes), dtype=bool)
    for i in range(1, len(nodes) - 1):
        others = CubicSpline(np.delete(a, i), np.delete(told, i, axis=0))
        missed[i] = not np.abs(others(a[i]) - told[i]).max() <= MISSED
    return missed


def _between(frame, nodes, every):
    """All columns by splines through some: of draws in units of each column's Gaussian, and of what
    its evidence lacks.

    A column between two nodes is relied on as the worse of these.
    """
    *read, weight, evidence, k_hat, _ = every
    read = (np.stack(read, axis=1) - frame.middle[nodes, :, None]) / frame.unit[nodes, None, None]

    def line(values):
        return CubicSpline(frame.a[nodes], values)(frame.a)

    drawn, weight = line(read), line(weight)
    if (weight == weight[0, 0]).all():  # quantiles, whose order may change between nodes
        drawn = np.take_along_axis(line(np.sort(read)), drawn.argsort().argsort(), axis=-1)
    alpha, effect = np.moveaxis(frame.middle[..., None] + frame.unit[:, None, None] * drawn, 1, 0)
    weight = weight - logsumexp(weight, axis=1, keepdims=True)
    evidence = frame.log_evidence + line(evidence - frame.log_evidence[nodes])
    places = np.arange(len(frame.a))
    after, before = np.searchsorted(nodes, places), np.searchsorted(nodes, places, side="right") - 1
    k_hat = np.maximum(k_hat[before], k_hat[after])
    return list(zip(alpha, effect, weight, evidence, k_hat, map(_effective, weight)))


def _proposals(propose, size, n, dimensions, draws, seed):
    """How many proposals a column gets, and whether a plain Gaussian will do;
    the same for all columns of a map.
    """
    if n * draws > WORK:
        return draws, True
    tried = TRIED[-1]
    some = [_gaussian(dimensions, tried, seed)]
    apart = np.array([size // 4, size // 2, 3 * size // 4])
    counted = [column[-1] / tried for column in propose(apart, rounds=some, least=0)]
    leans = not min(counted) >= UPRIGHT
    proposals = draws * _times((LEANING if leans else FEW_ROWS) / (n * draws))
    return proposals, proposals == draws and not leans


def _times(more):
    """A power of two: how many times as many proposals as draws."""
    return int(2 ** np.clip(np.floor(np.log2(more)), 0, MORE))


def _leading(covariance, slope, place):
    """A root of a covariance through which the first standard normal alone moves what is read, as
    far as it is linear.

    Its slope in θ is given; in place of α, which it has at `place`, it comes first. Sobol points
    are the more even the fewer of their coordinates matter.
    """
    rest = np.delete(np.arange(len(slope)), place)
    read = np.vstack([slope, np.eye(len(slope))[rest]])
    return np.linalg.solve(read, np.linalg.cholesky(read @ covariance @ read.T))


def _proposed(design, rows, prior, found, some, *, rounds, least):
    """Some columns, each from rounds of points.

    They are made side by side; where rows come in pieces, in step with each other, so that these
    are read once for the draws of all.
    """
    slopes = effect_slope(design, found.mode[some], found.a[some])[:, :-1]
    searches = [_column(rows, found, k, slope, rounds, least) for k, slope in zip(some, slopes)]
    answer = partial(_sums, design, rows, prior)
    if rows.whole is not None:
        return answered(searches, answer)
    work = (delayed(answered)([search], answer) for search in searches)
    jobs = min(cpu_count(), 4)
    return [column for (column,) in Parallel(n_jobs=jobs, require="sharedmem")(work)]


class Asked(NamedTuple):
    """Draws at one a: those of which the effect is asked, and those of which the log posterior."""

    a: float
    moved: np.ndarray
    weighed: np.ndarray


def _sums(design, rows, prior, asked):
    """Effects and log posteriors, two arrays for each who asked."""
    a, moved, weighed = zip(*asked)

    def each(function, draws):
        sizes = [len(theta) for theta in draws]
        if not any(sizes):
            return draws
        values = function(np.concatenate(draws), np.repeat(a, sizes))
        return np.split(values, np.cumsum(sizes)[:-1])

    effects = each(partial(average_effect, design), moved)
    return list(zip(effects, each(partial(log_posterior, rows, prior), weighed)))


def _column(rows, found, k, slope, rounds, least):
    """The search for one column: at least `least` rounds of points after the first,
    and more while it carries too little.
    """
    centre, spread, best = np.zeros(rows.size), np.eye(rows.size), None
    root = _leading(found.root[k] @ found.root[k].T, slope, len(rows.names_O) - 1)
    log_det = np.linalg.slogdet(root)[1]
    for turn, (z, log_density) in enumerate(rounds):
        draws = centre + z @ spread.T
        log_q = log_density - log_det - np.log(np.diagonal(spread)).sum()
        theta = found.mode[k] + draws @ root.T
        column = None
        if len(theta) * rows.n > WORK:
            column = yield from _by_few(rows, found.a[k], theta, log_q, draws[:, 0])
        column = column or (yield from _weighed(rows, found.a[k], theta, log_q))
        weight, k_hat = column[2], np.nan_to_num(column[4], nan=np.inf)
        if (turn >= least or turn == len(rounds) - 1) and (
            best is None or k_hat < np.nan_to_num(best[4], nan=np.inf)
        ):
            best = column
        if turn >= least and (k_hat <= PARETO_K or np.isnan(weight).any()):
            break
        if np.isfinite(k_hat):
            centre, spread = _wider(*matched(draws, weight), _effective(weight))
    return best


def _wider(centre, covariance, counted):
    """A mean and a root covariance that is nowhere narrower than Laplace's: too few weights would
    shrink it.

    And what few draws say of many dimensions is mixed with what Laplace says.
    """
    share = counted / (counted + len(centre))
    values, turn = np.linalg.eigh(share * covariance + (1 - share) * np.eye(len(centre)))
    return centre, np.linalg.cholesky((turn * np.maximum(values, 1.0)) @ turn.T)


def _effective(log_weight):
    """How many equal draws say as much."""
    return 1 / np.exp(2 * log_weight).sum()


def _thinned(column, draws):
    """A column told by equally likely draws: the quantiles of all its proposals, in the order of
    the first of these.

    That order hardly differs between neighbouring columns, so draws stay smooth over ρ; and an
    effect goes with an α as it does in the proposals, which have the column's own covariance.
    """
    *read, weight, evidence, k_hat, ess = column
    order = (np.argsort(np.argsort(values[:draws])) for values in read)
    told = (_levels(values, weight, draws)[places] for values, places in zip(read, order))
    return *told, np.full(draws, -np.log(draws)), evidence, k_hat, ess


def _levels(values, log_weight, draws):
    """Means of weighted values between quantiles that are evenly spaced in probability."""
    order, weight = np.argsort(values), np.exp(log_weight)
    mean = weight @ values
    shares, sums = (
        np.r_[0.0, np.cumsum(each[order])] for each in (weight, weight * (values - mean))
    )
    return mean + draws * np.diff(np.interp(np.linspace(0, shares[-1], draws + 1), shares, sums))


def _weighed(rows, a, theta, log_q):
    """α and effect of draws, their log weights, the log evidence, Pareto k̂ and effective size."""
    effect, value = yield Asked(a, theta, theta)
    ratio = value - log_q
    weight, k_hat = smoothed(ratio)
    evidence = logsumexp(ratio) - np.log(len(theta))
    return _alpha(rows, theta), effect, weight, evidence, k_hat, _effective(weight)


def _by_few(rows, a, theta, log_q, along):
    """The same from a few of the draws; None where these vary too much.

    What is read moves `along` one coordinate, and the others follow from a cubic of it.
    """
    effect, ratio = np.empty((2, 0))
    for tried in TRIED:
        more = slice(len(ratio), tried)
        moved, value = yield Asked(a, theta[more], theta[more])
        effect, ratio = np.r_[effect, moved], np.r_[ratio, value - log_q[more]]
        if not ratio.std() < CALM * np.sqrt(tried / TRIED[-1]):  # NaN is no calm
            continue
        read, bent = _cubic(along, effect)
        every, noise = _cubic(along, ratio)
        if rows.kinds[0] == "continuous" or bent > BENT * effect.var():
            read, _ = yield Asked(a, theta, theta[:0])
        every = every + 0.5 * noise
        weight = every - logsumexp(every)
        evidence = logsumexp(every) - np.log(len(theta))
        # weights that hardly vary have no tail
        k_hat = float(np.fmin(smoothed(ratio)[1], PARETO_K))
        return _alpha(rows, theta), read, weight, evidence, k_hat, _effective(weight)
    return None


def _alpha(rows, theta):
    return theta[:, len(rows.names_O) - 1]


def _cubic(x, values):
    """A cubic of x through values of its first, at every x; and the variance of what it left."""
    tried = x[: len(values)]
    curve = Polynomial.fit(tried, values, 3)
    return curve(x), (values - curve(tried)).var()


def smoothed(log_ratio):
    """Log weights, Pareto-smoothed and summing to one, of the draws of one column; and Pareto k̂.

    It is NaN where no tail can be fitted: one draw outweighs all others, or the largest weights are
    one number.
    """
    try:
        with np.errstate(all="ignore"):
            # it takes the negative, a log likelihood
            weight, k_hat = array_stats.psislw(-log_ratio)
    except ValueError:
        weight, k_hat = log_ratio, np.nan
    if not np.isfinite(weight).all():
        weight, k_hat = log_ratio, np.nan
    return weight - logsumexp(weight), float(k_hat)


def effect_of(map):
    """The effect that is read, (rho, draw): α unless the map has another."""
    return (map.effect if "effect" in map else map.alpha).values


def unreliable(map):
    """Which columns no reading may lean on;
    a Pareto k̂ that is NaN is no better than a large one.
    """
    return ~(map.pareto_k.values <= PARETO_K)


def stretches(rho, bad):
    """Some of a map's columns in words: ``-0.98 to -0.95, 0.29``."""
    places = np.flatnonzero(bad)
    each = [
        rho[run] for run in np.split(places, np.flatnonzero(np.diff(places) > 1) + 1) if len(run)
    ]
    return ", ".join(
        " to ".join(dict.fromkeys(f"{end:.2f}" for end in run[[0, -1]])) for run in each
    )


def trusted(map):
    """The unbroken run of reliable columns around ρ = 0, as a slice; empty where there is none."""
    rho, bad = map.rho.values, unreliable(map)
    return slice(
        max(np.flatnonzero(bad & (rho <= 0)), default=-1) + 1,
        min(np.flatnonzero(bad & (rho >= 0)), default=len(rho)),
    )


def between(rho, low, high):
    """The columns from the last at or below `low` to the first at or above `high`."""
    first, last = rho[rho <= low].max(initial=rho[0]), rho[rho >= high].min(initial=rho[-1])
    return (rho >= first) & (rho <= last)


def refuse_columns(map, bad, where):
    if bad.any():
        raise ValueError(
            f"Pareto k̂ exceeds {PARETO_K} at rho = {np.round(map.rho.values[bad], 2).tolist()}, "
            f"{where}: those columns "
            "are not nearly Gaussian. Accepted are more draws in map_rho, tighter priors, or NUTS: "
            "fit(joint_model(design, rho=...))."
        )


def chart_of(map):
    """The map, if it is one."""
    if not (
        isinstance(map, xr.Dataset)
        and {"alpha", "log_weight", "log_evidence", "pareto_k"} <= set(map)
    ):
        raise TypeError(f"map={arguments.brief(map)}; accepted is a map from map_rho(design).")
    return map
