"""The posterior at one value of ρ, where it has one mode and is nearly Gaussian.

Everything hard about these models lies along ρ. Hold ρ still and the rest is a Newton search for
the mode and a Gaussian around it (Laplace), made exact by importance weights. One such posterior is
a
*column*; columns side by side are what the map, the profile likelihood and the fast sampler are
made of.
"""

from functools import partial
from typing import NamedTuple

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.linalg import block_diag, eigh, lstsq, solve_triangular
from scipy.linalg.lapack import dposv
from scipy.special import logsumexp

from which_world.engine.likelihoods import (
    ENOUGH,
    LOG_2PI,
    PART,
    derivatives_at,
    drawn,
    log_likelihood,
    probit,
    rows_of,
    slopes,
)
from which_world.moments import BLOCK, cuts
from which_world.priors import rough

# Pareto k̂ beyond which importance weights cannot be relied on (Vehtari et al. 2024)
PARETO_K = 0.7
SETTLED = 1e-8  # what the last step to a mode may gain, twice, in log posterior,
SETTLED_OF_MANY = 1e-9  # and for each row where these are very many;
SHORT = 1e-3  # how far it may move a row's index, whose log chance bends
BY_A_PART = (
    0.01  # of that by a curvature that is a part's, which leaves more of the last step's error
)
FEW_STEPS = 8  # in which such a curvature leads to a mode, if it is right
MISSED = 0.1  # share of a curvature by which others may miss it, from twice as far as is relied on
REACH = 6.0  # the largest |atanh ρ| ever visited: |ρ| = 0.99999


class Columns(NamedTuple):
    """Gaussian posteriors at K values of a = atanh ρ; θ has m entries.

    mode has shape (K, m); root, with root @ root.T the covariance, (K, m, m); log_evidence, by
    Laplace's formula, (K,); value is the log posterior (or likelihood) at the mode, (K,).
    """

    a: np.ndarray
    mode: np.ndarray
    root: np.ndarray
    log_evidence: np.ndarray
    value: np.ndarray

    @property
    def precision(self):
        """The inverse of the covariance, (K, m, m)."""
        inverse = np.linalg.inv(self.root)
        return np.swapaxes(inverse, 1, 2) @ inverse

    def at(self, a):
        """Mode and root at any a between the first and the last: cubic splines of the columns."""
        if len(self.a) == 1:
            return np.broadcast_to(self.mode, (len(a), *self.mode.shape[1:])), np.broadcast_to(
                self.root, (len(a), *self.root.shape[1:])
            )
        return CubicSpline(self.a, self.mode)(a), CubicSpline(self.a, self.root)(a)


def columns(rows, scales, a, near=None):
    """Fit columns at increasing a, (K,): first where ρ is nearest to 0, then each from the last.

    Without `scales` the prior is flat, and the columns are the profile likelihood. The first is
    searched from `near`, if that is known. Where rows come in pieces each starts from its mode in
    a part of them, and all go on together. A ρ where no maximum is found is named in a
    RuntimeError.
    """
    a = np.asarray(a, dtype=float)
    find, prior = _one_by_one if rows.whole is None else _all_at_once, _prior_numbers(rows, scales)
    theta, value, H = map(np.array, zip(*find(rows, prior, a, scales, near)))
    # -H = LL', so the covariance is L⁻ᵀL⁻¹
    root = np.array(
        [solve_triangular(np.linalg.cholesky(-h), np.eye(len(h)), lower=True).T for h in H]
    )
    log_det = np.log(np.diagonal(root, axis1=1, axis2=2)).sum(axis=1)
    return Columns(a, theta, root, value + log_det + 0.5 * rows.size * LOG_2PI, value)


def _one_by_one(rows, prior, a, scales, near):
    """θ, value and Hessian of each column, from its neighbour's mode."""
    part = of_part(rows, scales, a) if near is None else None
    if part is not None:
        return _beyond(part, rows, prior)
    near = np.broadcast_to(start(rows) if near is None else near, (len(a), rows.size))
    fitted, modes = {}, {}
    for k, beside in _outwards(a):
        fitted[k] = mode(rows, prior, a[k], _mended(a, near, modes, k, beside))
        modes[k] = fitted[k][0]
    return [fitted[k] for k in range(len(a))]


def _beyond(part, rows, prior):
    """The same from the columns of a part of the rows: what these lack hardly changes with ρ.

    All rows are asked for their curvature at every second column. Between them the part's, with
    what it lacks there, does for Newton's steps, and these ask for slopes alone.
    """
    a, n = part.a, len(rows.y)
    thought = -n / len(drawn(n)) * part.precision
    asked = {0, len(a) - 1, *range(int(np.argmin(np.abs(a))) % 2, len(a), 2)}
    modes, values, H = {}, {}, {}
    for k, beside in _outwards(a):
        guess = _mended(a, part.mode, modes, k, beside)
        known = None if k in asked else _mended(a, thought, H, k, _nearest(a, H, k, 2))
        modes[k], values[k], own = _by_slopes(rows, prior, a[k], guess, known)
        if own is not known:
            H[k] = own
    mended = {k: _mended(a, thought, H, k, _nearest(a, H, k, 4)) for k in modes}
    missed = max((_differ(mended[k], H[k]) for k in H if 0 < k < len(a) - 1), default=0.0)
    for k in modes.keys() - H.keys():
        H[k] = mended[k] if missed < MISSED else _hessian(rows, prior, modes[k], a[k])
    return [(modes[k], values[k], H[k]) for k in range(len(a))]


def _nearest(a, known, k, most):
    """Up to so many of the places that are known, beside a place and nearest to it."""
    return sorted(known.keys() - {k}, key=lambda j: abs(a[j] - a[k]))[:most]


def _by_slopes(rows, prior, a, guess, H):
    """`mode` with a Hessian that is nearly right; with its own if it is not known, or not right."""
    if H is not None:
        try:
            np.linalg.cholesky(-H)
            return mode(rows, prior, a, guess, H)
        except (np.linalg.LinAlgError, RuntimeError):
            pass
    return mode(rows, prior, a, guess)


def _hessian(rows, prior, theta, a):
    return _posterior_derivatives(rows, prior, [(theta, a)])[0][2]


def _differ(one, other):
    """By how much, at most, two Hessians at maxima differ along a direction, as a share."""
    return np.abs(eigh(one - other, -other, eigvals_only=True)).max()


def _outwards(a):
    """Places of increasing a from where it is nearest to 0, and up to four before, next to each."""
    first = int(np.argmin(np.abs(a)))
    for k in range(first, len(a)):
        yield k, list(range(max(first, k - 4), k))
    for k in range(first - 1, -1, -1):
        yield k, list(range(k + 1, min(len(a), k + 5)))


def _mended(a, about, found, k, beside):
    """What is thought of k, and what such thoughts lacked beside k."""
    return about[k] + through(a[beside], [found[j] - about[j] for j in beside], a[k])


def of_part(rows, scales, a):
    """`Columns` of one row in many, drawn at random.

    None where rows are not so many, or those that are drawn have no maximum.
    """
    some = drawn(len(rows.y))
    if rows.whole is not None or some is None:
        return None
    try:
        return columns(rows.cut(some), scales, a)
    except (RuntimeError, np.linalg.LinAlgError):
        return None


def through(places, values, place):
    """The polynomial through values, each an array, at some places, at another; zero of none."""
    total = 0.0
    for i, value in enumerate(values):
        others = np.delete(places, i)
        total = total + np.prod((place - others) / (places[i] - others)) * value
    return total


def _all_at_once(rows, prior, a, scales, _):
    """The same of rows in pieces, from modes that were found before or that a part of them has."""
    near = rows.whole.kept.get("modes")
    if near is None or not near.x[0] <= a[0] <= a[-1] <= near.x[-1]:
        part = rows.whole.all_rows.part(rows.whole)
        modes = columns(rows_of(part), scales or rough(rows.whole), a).mode
    else:
        modes = near(a)
    searches = [_ascend(rows, *point) for point in zip(modes, a)]
    fitted = answered(searches, partial(_posterior_derivatives, rows, prior))
    if len(a) > 1:
        rows.whole.kept["modes"] = CubicSpline(a, [theta for theta, *_ in fitted])
    return fitted


def adaptive_columns(fit, rho, *, size=31, drop=25.0):
    """Columns over the values of a = atanh ρ that hold the posterior.

    The window of `size` columns starts at |ρ| < 0.96, grows while its edge still matters and is
    then closed in on the mass: what lies `drop` below the best log posterior is left out. `fit`
    makes `Columns` of increasing a; `rho` is the value ρ is fixed at (one column), or its log prior
    density.
    """
    if isinstance(rho, float):
        return fit([np.arctanh(rho)])
    low, high = -2.0, 2.0
    while True:
        fitted = fit(np.linspace(low, high, size))
        density = fitted.log_evidence + log_prior_a(rho, fitted.a)
        if not np.isfinite(density).any():  # the prior lies between two columns
            place = allowed(rho)
            low, high = place[0] - 0.01, place[-1] + 0.01
            continue
        near = density > density.max() - drop
        if (near[0] and low > -REACH) or (near[-1] and high < REACH):
            low, high = max(-REACH, low - near[0]), min(REACH, high + near[-1])
            continue
        inside = np.flatnonzero(near)
        step = fitted.a[1] - fitted.a[0]
        if step * (inside[-1] - inside[0] + 2) > 0.5 * (high - low):
            return fitted
        low, high = fitted.a[inside[0]] - step, fitted.a[inside[-1]] + step


def allowed(rho):
    """Values of a = atanh ρ on a fine grid that a log prior density of ρ allows."""
    a = np.linspace(-REACH, REACH, 12_001)
    return a[np.isfinite(rho(np.tanh(a)))]


def log_prior_a(rho, a):
    """Log prior density of a = atanh ρ, given the log prior density of ρ."""
    return rho(np.tanh(a)) - 2 * np.log(np.cosh(a))


def start(rows):
    """Least squares or probit for either equation: the maximum at ρ = 0.

    Where a response is predicted without error the probit has no finite maximum, and zero is the
    start.
    """
    equations = zip(rows.kinds, (rows.A, rows.Z), (rows.y, rows.t))
    return np.concatenate([START[kind](M, response, rows.n) for kind, M, response in equations])


def least_squares(M, response):
    """Coefficients and the residual sum of squares, without all of `Columns` at once."""
    parts = (np.column_stack([M[block], response[block]]) for block in cuts(len(response), BLOCK))
    if len(response) > BLOCK:
        # the same sums of squares in few rows
        parts = (np.linalg.qr(part, mode="r") for part in parts)
    M, response = np.split(np.vstack(list(parts)), [-1], axis=1)
    size = np.linalg.norm(M, axis=0)
    size[size == 0] = 1.0  # columns of one length: what is cut off as rounding then has no unit
    beta, *_ = lstsq(
        M / size, response[:, 0], cond=max(M.shape) * np.finfo(float).eps, lapack_driver="gelsy"
    )
    return beta / size, np.sum((response[:, 0] - M @ (beta / size)) ** 2)


def _least_squares(M, response, n):
    beta, squares = least_squares(M, response)
    return np.r_[beta, 0.5 * np.log(squares / n)]


def _probit(M, response, n):
    fit = probit(M, response)
    return fit.beta if fit.converged else np.zeros_like(fit.beta)


START = {"continuous": _least_squares, "binary": _probit}


def log_prior(rows, scales, theta):
    """Log prior of θ, per draw: normal coefficients, half-normal σ (with the Jacobian of log σ)."""
    prior = _prior_numbers(rows, scales)
    return np.zeros(theta.shape[:-1]) if prior is None else _log_prior(prior, theta)


def _log_prior(prior, theta):
    log_sigma, z = theta[..., prior.places], prior.z(theta)
    constant = 0.5 * np.log(2 / np.pi) - np.log(prior.spread)
    half = constant - 0.5 * prior.relative(theta) + log_sigma
    height = np.log(np.abs(np.diagonal(prior.root))).sum() - 0.5 * len(prior.mean) * LOG_2PI
    return height - 0.5 * np.sum(z**2, axis=-1) + half.sum(axis=-1)


def log_posterior(rows, scales, theta, a):
    """Log likelihood plus log prior of θ at a = atanh ρ; the prior of ρ itself is not in it."""
    return log_likelihood(rows, theta, a) + log_prior(rows, scales, theta)


def posterior_derivatives(rows, scales, points):
    """`log_posterior` at each of some points (θ, a), its gradient and its Hessian in θ."""
    return _posterior_derivatives(rows, _prior_numbers(rows, scales), points)


def answered(searches, answer):
    """What searches find that all ask for sums over the same rows.

    A search is a generator: it yields a question, is sent the reply, and returns what it found.
    `answer` replies to a list of questions, one of each search that goes on, so that rows are read
    once for all of them.
    """
    results, asked = [None] * len(searches), {k: next(search) for k, search in enumerate(searches)}
    while asked:
        replies, asked = zip(list(asked), answer(list(asked.values()))), {}
        for k, reply in replies:
            try:
                asked[k] = searches[k].send(reply)
            except StopIteration as end:
                results[k] = end.value
    return results


def mode(rows, prior, a, theta, H=None):
    """Newton's method with step halving at fixed a: mode, log posterior there, its Hessian.

    A Hessian that is given stands for all that would be met.
    """
    if H is None:
        search, answer = _ascend(rows, theta, a), partial(_posterior_derivatives, rows, prior)
    else:
        search = _ascend(rows, theta, a, BY_A_PART, FEW_STEPS)
        answer = partial(_posterior_slopes, rows, prior, H)
    return answered([search], answer)[0]


def _ascend(rows, theta, a, share=1.0, iterations=60):
    """The search for a mode: it asks for value, gradient and Hessian of the log posterior.

    A step of d standard deviations leaves an error of about d²/√n of one, so of more rows the last
    may be longer. `share` of what it may gain is left where it leaves more. It is short for each
    row as well: where nobody of a level says yes a standard deviation is long, and a step along it
    may gain next to nothing and lead to where there is hardly a chance.
    """
    n = rows.n
    tolerance = share * (SETTLED if n < PART * ENOUGH else SETTLED_OF_MANY * n)
    value, gradient, H = yield theta, a
    for _ in range(iterations):
        step = ascent(gradient, H)
        gain = gradient @ step
        if gain < tolerance and _moved(rows, step) < SHORT:
            # the last step costs nothing, and squares what is left of the error
            return theta + step, value + 0.5 * gain, H
        size = 1.0
        slack = 1e-11 * abs(value)  # the value's own rounding error
        while size > 1e-6:
            new = yield theta + size * step, a
            if np.isfinite(new[0]) and new[0] >= value - slack:
                break
            size /= 2
        theta = theta + size * step
        value, gradient, H = new
    raise RuntimeError(
        f"no maximum was found at rho={np.tanh(a):.3f} in {iterations} Newton steps."
    )


def _moved(rows, step):
    """How far a step in θ moves the index of a row, at most; zero of rows in pieces, not asked."""
    of_O, _, of_T, _ = rows.split(step)
    equations = zip(rows.kinds, (rows.A, rows.Z), (of_O, of_T))
    moves = [M @ part for kind, M, part in equations if kind == "binary" and rows.whole is None]
    return np.abs(moves).max(initial=0.0)


def ascent(gradient, H):
    """A Newton step uphill: where the surface is not concave, its curvatures change their sign."""
    _, step, failed = dposv(-H, gradient, lower=True)
    if not failed:
        return step
    unit = _units(H)
    curvature, directions = np.linalg.eigh(H * np.outer(unit, unit))
    curvature = np.maximum(np.abs(curvature), 1e-6 * np.abs(curvature).max())
    return unit * (directions @ ((directions.T @ (unit * gradient)) / curvature))


def covariance(H):
    """The inverse of -H, for second derivatives H at a maximum, to the same digits in all units."""
    unit = _units(H)
    return np.outer(unit, unit) * np.linalg.inv(-H * np.outer(unit, unit))


def _units(H):
    """A unit for each parameter, in which its own second derivative is one."""
    size = np.abs(np.diag(H))
    return np.where(size > 0, size, 1.0) ** -0.5


def leading(covariance, slopes, places):
    """A root of a covariance through which the first standard normal alone moves what is read, as
    far as it is linear.

    Its slope in θ is given; in place of α, which it has at its place, it comes first. Others may
    follow, each in place of one of θ. Sobol points are the more even the fewer of their coordinates
    matter.
    """
    rest = np.delete(np.arange(len(covariance)), places)
    read = np.vstack([*slopes, np.eye(len(covariance))[rest]])
    return np.linalg.solve(read, np.linalg.cholesky(read @ covariance @ read.T))


def matched(z, log_weight):
    """Mean (m,) and covariance (m, m) of weighted draws z: a Gaussian that fits a skewed column."""
    weight = np.exp(log_weight - logsumexp(log_weight))
    centre = weight @ z
    return centre, (z - centre).T @ (weight[:, None] * (z - centre))


def _posterior_derivatives(rows, prior, points):
    """Value, gradient and Hessian in θ of the log posterior, at each of some points (θ, a)."""
    of_likelihood = derivatives_at(rows, points)
    return [_with_prior(prior, theta, *each) for (theta, _), each in zip(points, of_likelihood)]


def _posterior_slopes(rows, prior, H, points):
    """The same with a Hessian that is known."""
    return [(*_sloping(prior, theta, *slopes(rows, theta, a)), H) for theta, a in points]


def _with_prior(prior, theta, value, gradient, H):
    H = H[:-1, :-1]
    if prior is not None:
        H[np.ix_(prior.regular, prior.regular)] -= prior.precision
        H[prior.places, prior.places] -= 2 * prior.relative(theta)
    return *_sloping(prior, theta, value, gradient), H


def _sloping(prior, theta, value, gradient):
    """Value and gradient in θ with the prior's share."""
    gradient = gradient[:-1]
    if prior is None:
        return value, gradient
    gradient[prior.regular] -= prior.root.T @ prior.z(theta)
    gradient[prior.places] += 1 - prior.relative(theta)
    return value + float(_log_prior(prior, theta)), gradient


class _Prior(NamedTuple):
    """Of θ's normal entries their places, mean, root precision and precision; of its log σ the
    places, and their half-normal scales.
    """

    regular: np.ndarray
    mean: np.ndarray
    root: np.ndarray
    precision: np.ndarray
    places: np.ndarray
    spread: np.ndarray

    def z(self, theta):
        """The normal entries of one or many θ, in standard units."""
        return (theta[..., self.regular] - self.mean) @ self.root.T

    def relative(self, theta):
        """Each σ² in units of its prior's."""
        return (np.exp(theta[..., self.places]) / self.spread) ** 2


def _prior_numbers(rows, scales):
    if scales is None:
        return None
    ends = [
        pair for pair in zip(rows.places, (scales.sigma_U, scales.sigma_V)) if pair[0] is not None
    ]
    places = np.array([place for place, _ in ends], dtype=int)
    root = block_diag(scales.root_O, scales.root_T)
    return _Prior(
        np.delete(np.arange(rows.size), places),
        np.r_[scales.mean_O, scales.mean_T],
        root,
        root.T @ root,
        places,
        np.array([spread for _, spread in ends]),
    )
