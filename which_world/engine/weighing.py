"""Draws of a map's columns and their weights: some columns are weighed, the others are splines."""

from functools import partial
from typing import NamedTuple

import numpy as np
from arviz_stats.base import array_stats
from joblib import delayed
from numpy.polynomial import Polynomial
from scipy.interpolate import CubicSpline
from scipy.special import gammaln, logsumexp, stdtrit
from scipy.stats import chi2, norm
from scipy.stats.qmc import Sobol

from which_world.engine import conjugate
from which_world.engine.counterfactual import average_effect, effect_slope
from which_world.engine.laplace import (
    PARETO_K,
    answered,
    columns,
    leading,
    log_posterior,
    matched,
)
from which_world.engine.likelihoods import LOG_2PI
from which_world.engine.loose import Bent, Straight, loose_rows
from which_world.moments import side_by_side

WORK = 2**23  # rows times draws of one column beyond which few draws are weighed, if these are calm
# how many, more where the first are not calm: the sd of log weights, times √(128/tried), up to
# which the others follow from them; and the share of an effect's variance that they may miss
TRIED, CALM, BENT = (32, 128), 0.2, 0.0025
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


def exact_columns(sums, a, draws, seed):
    """Columns of two continuous responses, as `weighted_columns` gives them."""
    proposals = draws * _times(FEW_ROWS / (sums.n * draws))
    near = conjugate.guess(sums)
    z = norm.ppf(_sobol(3, proposals, seed))[:, [1, 2, 0]]  # the most even of the three moves α
    every = []
    for each in a:
        alpha, *rest = conjugate.column(sums, each, near + [np.log(np.cosh(each)), 0.0], z)
        every.append((alpha, alpha, *rest, _effective(rest[0])))
    return every if proposals == draws else [_thinned(column, draws) for column in every]


def weighted_columns(design, rows, prior, a, draws, seed):
    """Each column's α and effect, draw by draw, with log weights, log evidence, Pareto k̂ and
    effective size.

    Every column has its own mode, but draws are weighed in some: what is left of a column then, in
    units of its Gaussian, is smooth in a, and the others have it by splines. All are made of the
    same points. Where rows are few a draw costs little and a column's tails are long: then there
    are more, of a Student t that has the mean and spread that a first round shows, thinned back to
    `draws`.
    """
    found, place = columns(rows, prior, a), len(rows.names_O) - 1
    loose = loose_rows(rows, found, rows.n * draws > WORK)
    propose = partial(_proposed, design, rows, prior, found, loose)
    proposals, plain = _proposals(propose, len(a), rows.n, rows.size, draws, seed)
    points, more = (_student(rows.size, size, seed) for size in (draws, proposals))

    def patiently(some):
        every = propose(some, rounds=[points, *[more] * WIDER_ROUNDS], least=1)
        return [_thinned(column, draws) for column in every]

    plainly = partial(propose, rounds=[_gaussian(rows.size, draws, seed)], least=0)
    middle = np.column_stack([found.mode[:, place], average_effect(design, found.mode, found.a)])
    frame = Frame(found.a, middle, np.linalg.norm(found.root[:, place], axis=1), found.log_evidence)
    nodes = nodes_of(found.a, rows.n * draws > WORK)
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


def nodes_of(a, many=False):
    """The columns of which draws are weighed: evenly spaced, and all where these are few.

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


def _proposed(design, rows, prior, found, loose, some, *, rounds, least):
    """Some columns, each from rounds of points.

    They are made side by side; where rows come in pieces, in step with each other, so that these
    are read once for the draws of all.
    """
    slopes = effect_slope(design, found.mode[some], found.a[some])[:, :-1]
    bent = [None] * len(some)
    if loose is not None:
        points = list(zip(found.mode[some], found.a[some]))
        bent = Bent.every(rows, prior, loose, points, slopes)
    column = partial(_column, rows, found, rounds, least)
    searches = [column(*each) for each in zip(some, slopes, bent)]
    answer = partial(_sums, design, rows, prior)
    if rows.whole is not None:
        return answered(searches, answer)
    work = (delayed(answered)([search], answer) for search in searches)
    return [column for (column,) in side_by_side(work)]


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


def _column(rows, found, rounds, least, k, slope, proposals):
    """The search for one column: at least `least` rounds of points after the first,
    and more while it carries too little.
    """
    a, place = found.a[k], len(rows.names_O) - 1
    if proposals is None:
        root = leading(found.root[k] @ found.root[k].T, [slope], [place])
        proposals = Straight(found.mode[k], root)
    centre, spread, best = np.zeros(rows.size), np.eye(rows.size), None
    for turn, (z, log_density) in enumerate(rounds):
        draws = centre + z @ spread.T
        log_q = log_density - np.log(np.diagonal(spread)).sum()
        theta, log_q = proposals(draws, log_q)
        column = None
        if len(theta) * rows.n > WORK:
            told = proposals.told(theta)
            column = yield from _by_few(rows, a, theta, log_q, draws[:, 0], told)
        column = column or (yield from _weighed(rows, a, theta, log_q))
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


def _by_few(rows, a, theta, log_q, along, told):
    """The same from a few of the draws; None where these vary too much.

    What is read moves `along` one coordinate, and the others follow from a cubic of it; as does
    what the log posterior has beside what is `told` of it, or else beside a Gaussian.
    """
    near = log_q if told is None else told
    effect, ratio = np.empty((2, 0))
    for tried in TRIED:
        more = slice(len(ratio), tried)
        moved, value = yield Asked(a, theta[more], theta[more])
        effect, ratio = np.r_[effect, moved], np.r_[ratio, value - near[more]]
        if not ratio.std() < CALM * np.sqrt(tried / TRIED[-1]):  # NaN is no calm
            continue
        read, bent = _cubic(along, effect)
        every, noise = _cubic(along, ratio)
        if rows.kinds[0] == "continuous" or bent > BENT * effect.var():
            read, _ = yield Asked(a, theta, theta[:0])
        every = every + 0.5 * noise + near - log_q
        evidence = logsumexp(every) - np.log(len(theta))
        if told is None:  # weights that hardly vary have no tail
            weight, k_hat = every - logsumexp(every), np.fmin(smoothed(ratio)[1], PARETO_K)
        else:
            weight, k_hat = smoothed(every)
        return _alpha(rows, theta), read, weight, evidence, float(k_hat), _effective(weight)
    return None


def _alpha(rows, theta):
    return theta[:, len(rows.names_O) - 1].copy()  # a view would keep all of θ


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
