"""The exact log-likelihood of the joint model, with its first two derivatives, in NumPy.

What one observation contributes is a row of the table in `which_world.engine.pairs`. Here are the
data as that table reads them, and what is the same in all rows: sums over observations, and the
chain rule into θ.

A parameter vector is θ = (θ_O[, log σ_U], θ_T[, log σ_V]), a σ standing only where the response is
continuous; θ_O = (intercept_O, β_O, δ, α) ends with the effect, and a = atanh ρ is kept beside θ.
"""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from joblib import Parallel, cpu_count, delayed
from scipy.special import log_ndtr

from which_world.design import Design, total
from which_world.engine.pairs import KINDS, LOG_2PI, PAIRS
from which_world.moments import BLOCK, condensed, cuts, side_by_side

THREADED = 32  # blocks that are worth the start of threads
HANDED, TURNS = 8, 4  # steps, at least, that are worth handing to a thread; turns of each thread
PART, ENOUGH = 16, 10_000  # one row in so many shows about where a mode is, if that leaves enough


class Rows(NamedTuple):
    """The data as the likelihood reads them: A and Z with their columns' names, y, t, the true n,
    both kinds.

    Where both responses are continuous the likelihood is a sum of squares, so n rows of W = [1, X,
    T, Y] can be replaced by the few rows of R in W = QR: R'R = W'W. Nothing is lost, and nothing
    later depends on n. The outcome equation has the treatment as c = t - t̄ (c = t if binary), and
    where moderators M change the effect, M∘c.

    Of more rows than a block has, A and Z are `Regressors`: `cut` makes arrays of them, and vectors
    may be multiplied.

    Where each row counts and they come in pieces, the rows here are few that have the means and
    covariances of all, `whole` is their design, and every sum over rows is one over its pieces.
    """

    A: "np.ndarray | Regressors"
    Z: "np.ndarray | Regressors"
    y: np.ndarray
    t: np.ndarray
    n: int
    kinds: tuple
    names_O: tuple
    names_T: tuple
    moderators: tuple = ()
    whole: Design | None = None

    @classmethod
    def of(cls, design, compress=True):
        """Rows of a design; `compress=False` keeps all it has, for pointwise work."""
        moderators = tuple(f"delta[{label}]" for label in design.moderators)
        names_O = (*_names(design, design.intercept_O, design.in_outcome), *moderators, "alpha")
        names_T = _names(design, design.intercept_T, design.in_treatment)
        A, Z = Regressors.of(design, "outcome"), Regressors.of(design, "treatment")
        y, t, n = design.y, design.t, len(design.y)
        if compress and PAIRS[design.kinds].compressible:
            whole = np.column_stack([A[:], Z[:][:, ~np.isin(names_T, names_O)], t, y])
            A, Z, t, y = _triangle(whole * np.sqrt(design.n / n), names_O, names_T)
        elif not compress or n <= BLOCK:
            A, Z = A[:], Z[:]
        whole = None if design.all_rows is None else design
        return cls(A, Z, y, t, design.n, design.kinds, names_O, names_T, moderators, whole)

    def cut(self, cut):
        """Some of the rows."""
        y = self.y[cut]
        return self._replace(A=self.A[cut], Z=self.Z[cut], y=y, t=self.t[cut], n=len(y))

    @property
    def scaled(self):
        """Whether each equation has a σ."""
        return tuple(KINDS[kind].scaled for kind in self.kinds)

    @property
    def size(self):
        """Length of θ."""
        return len(self.names_O) + len(self.names_T) + sum(self.scaled)

    @property
    def places(self):
        """Where each log σ stands in θ, None where an equation has none."""
        outcome, treatment = self.scaled
        return len(self.names_O) if outcome else None, self.size - 1 if treatment else None

    def split(self, theta):
        """θ_O, log σ_U, θ_T and log σ_V of one or many θ; a log σ that is not there is zero."""
        k = len(self.names_O)
        start = k + self.scaled[0]
        log_sigma_U, log_sigma_V = (
            np.zeros(theta.shape[:-1]) if place is None else theta[..., place]
            for place in self.places
        )
        theta_T = theta[..., start : start + len(self.names_T)]
        return theta[..., :k], log_sigma_U, theta_T, log_sigma_V


def _names(design, intercept, used):
    return (
        *["intercept"] * intercept,
        *(label for label, here in zip(design.covariates, used) if here),
    )


def places(used):
    """Where a mask is true: a slice where that is one run, which costs a fifth of the time."""
    places = np.flatnonzero(used)
    run = len(places) and places[-1] - places[0] + 1 == len(places)
    return slice(places[0], places[-1] + 1) if run else places


@dataclass(frozen=True, eq=False)
class Regressors:
    """The columns of an equation: a constant, covariates, moderators times the dose, and the dose.

    They are put together for the rows that are asked for, `columns[cut]`: those of all rows would
    be one more copy of nearly all data for each equation.
    """

    C: np.ndarray
    intercept: bool
    used: slice | np.ndarray
    moderates: slice | np.ndarray | None = None
    dose: np.ndarray | None = None

    @classmethod
    def of(cls, design, equation):
        if equation == "treatment":
            return cls(design.C, design.intercept_T, places(design.in_treatment))
        own, moderating = places(design.in_outcome), places(design.moderates)
        return cls(design.C, design.intercept_O, own, moderating, design.dose)

    @property
    def shape(self):
        return len(self.C), self[:0].shape[1]

    def __matmul__(self, beta):
        return np.concatenate([self[block] @ beta for block in cuts(len(self.C), BLOCK)])

    def __getitem__(self, cut):
        C = self.C[cut]
        parts = [np.ones((len(C), int(self.intercept))), C[:, self.used]]
        if self.dose is not None:
            dose = self.dose[cut][:, None]
            parts += [C[:, self.moderates] * dose, dose]
        return np.hstack(parts)


def _triangle(whole, names_O, names_T):
    """A, Z, t and y of the R of a QR; columns of the treatment's equation alone come last."""
    R = np.linalg.qr(whole, mode="r")
    names = [*names_O, *(name for name in names_T if name not in names_O)]
    Z = np.ascontiguousarray(R[:, [names.index(name) for name in names_T]])
    return np.ascontiguousarray(R[:, : len(names_O)]), Z, R[:, -2].copy(), R[:, -1].copy()


def rows_of(design):
    """The rows of a design for the likelihood, compressed where they can be; made once a design."""
    if "rows" not in design.kept:
        design.kept["rows"] = Rows.of(
            condensed(design) if PAIRS[design.kinds].compressible else design
        )
    return design.kept["rows"]


def drawn(n):
    """Places of one row in sixteen, at random, in order; None where that leaves too few."""
    if n // PART < ENOUGH:
        return None
    return np.sort(np.random.default_rng(0).choice(n, n // PART, replace=False))


def handed(draws, step):
    """Slices of many draws for threads, in whole steps: a hand-over takes as long as a step."""
    return cuts(draws, step * max(HANDED, -(-draws // (step * TURNS * cpu_count()))))


def log_likelihood(rows, theta, a, *, chunk=2**16):
    """Log-likelihood, (draws,), of many θ, (draws, rows.size), and their a = atanh ρ, (draws,).

    `chunk` numbers are held at a time: what fits a processor's cache, whatever the draws and the
    rows.
    """
    theta, a = np.atleast_2d(theta), np.atleast_1d(a)
    if rows.whole is not None:
        return total(rows.whole, partial(_log_likelihood, theta, a))
    blocks, size = cuts(len(rows.y), BLOCK), len(theta)
    step = max(1, chunk // min(BLOCK, len(rows.y)))
    shares = handed(size, step) if len(blocks) == 1 else cuts(size, size)
    tasks = [(block, share) for block in blocks for share in shares]
    work = (
        delayed(_kernel_sum)(rows, block, theta[share], a[share], step) for block, share in tasks
    )
    kernel = np.zeros(size)
    for (_, share), found in zip(
        tasks, Parallel(n_jobs=min(cpu_count(), len(tasks)), require="sharedmem")(work)
    ):
        kernel[share] += found
    return kernel + rows.n * _constant(rows, theta, a)


def _log_likelihood(theta, a, design):
    return log_likelihood(rows_of(design), theta, a)


def pointwise(rows, theta, a, *, offsets=(0.0, 0.0)):
    """Log-likelihood of each observation (columns) under each draw (rows); wants uncompressed rows.

    `offsets`, as in `errors_or_indices`, is where a forest comes in.
    """
    _check_whole(rows)
    return _kernel(rows, theta, a, offsets) + _constant(rows, theta, a)[:, None]


def errors_or_indices(rows, theta, offsets=(0.0, 0.0)):
    """u and v of many θ, each an error or an index: two arrays of shape (draws, rows).

    `offsets` are added to the index of the outcome and of the treatment: (draws, rows), or anything
    that broadcasts.
    """
    theta_O, log_sigma_U, theta_T, log_sigma_V = rows.split(theta)
    outcome, treatment = (KINDS[kind] for kind in rows.kinds)
    return (
        outcome.number(rows.A, rows.y, theta_O, log_sigma_U, offsets[0]),
        treatment.number(rows.Z, rows.t, theta_T, log_sigma_V, offsets[1]),
    )


def _kernel(rows, theta, a, offsets=(0.0, 0.0)):
    return PAIRS[rows.kinds].kernel(
        *errors_or_indices(rows, theta, offsets), 2 * rows.y - 1, 2 * rows.t - 1, a[:, None]
    )


def _kernel_sum(rows, block, theta, a, step):
    """Summed over a block of rows, `step` draws at a time."""
    part = rows.cut(block)
    return np.concatenate(
        [_kernel(part, theta[some], a[some]).sum(axis=1) for some in cuts(len(theta), step)]
    )


def _constant(rows, theta, a):
    _, log_sigma_U, _, log_sigma_V = rows.split(theta)
    return PAIRS[rows.kinds].constant(a)[0] - log_sigma_U - log_sigma_V


def derivatives(rows, theta, a):
    """Value, gradient and Hessian of the log-likelihood in (θ, a), at one point; a comes last."""
    if rows.whole is not None:
        return derivatives_at(rows, [(theta, a)])[0]
    return _summed(rows, partial(_derivatives, theta=theta, a=a))


def slopes(rows, theta, a):
    """Value and gradient alone, of rows in memory: a third of the work."""
    return _summed(rows, partial(_slopes, theta=theta, a=a))


def _summed(rows, work):
    """What `work` finds in each block of rows, added up; side by side where blocks are many."""
    blocks = cuts(len(rows.y), BLOCK)
    each = (delayed(work)(rows, block) for block in blocks)
    parts = side_by_side(each, len(blocks) >= THREADED)
    return tuple(sum(each) for each in zip(*parts))


def derivatives_at(rows, points):
    """`derivatives` at several points (θ, a); rows in pieces are read once for all of them."""
    if rows.whole is None:
        return [derivatives(rows, *point) for point in points]
    size = rows.size + 1
    flat = total(rows.whole, partial(_flat_derivatives, points))
    return [
        (float(each[0]), each[1 : size + 1], each[size + 1 :].reshape(size, size)) for each in flat
    ]


def _flat_derivatives(points, design):
    """Value, gradient and Hessian in one row of numbers for each point, which can be added up."""
    triples = derivatives_at(rows_of(design), points)
    return np.array([np.r_[value, gradient, H.ravel()] for value, gradient, H in triples])


def _derivatives(rows, block, theta, a):
    rows = rows.cut(block) if len(rows.y) > BLOCK else rows
    outcome, treatment = (KINDS[kind] for kind in rows.kinds)
    p, J_u, J_v = _parts(rows, theta, a)
    k, m = J_u.shape[1], rows.size
    gradient = np.concatenate([p.first @ J_u, p.second @ J_v, [p.a.sum()]])
    H = np.empty((m + 1, m + 1))
    H[:k, :k] = J_u.T @ (p.first_first[:, None] * J_u) + _curvature(J_u, p.first, outcome)
    H[:k, k:m] = J_u.T @ (p.first_second[:, None] * J_v)
    H[k:m, k:m] = J_v.T @ (p.second_second[:, None] * J_v) + _curvature(J_v, p.second, treatment)
    H[:k, m], H[k:m, m], H[m, m] = J_u.T @ p.first_a, J_v.T @ p.second_a, p.a_a.sum()
    H[m, m] += rows.n * PAIRS[rows.kinds].constant(a)[2]
    value, gradient = _with_constants(rows, theta, a, p.value.sum(), gradient)
    return value, gradient, np.triu(H) + np.triu(H, 1).T


def _slopes(rows, block, theta, a):
    rows = rows.cut(block) if len(rows.y) > BLOCK else rows
    _, log_sigma_U, _, log_sigma_V = rows.split(theta)
    outcome, treatment = (KINDS[kind] for kind in rows.kinds)
    u, v, p = _partials(rows, theta, a)
    of_u = outcome.pulled(rows.A, u, log_sigma_U, p.first)
    of_v = treatment.pulled(rows.Z, v, log_sigma_V, p.second)
    gradient = np.concatenate([of_u, of_v, [p.a.sum()]])
    return _with_constants(rows, theta, a, p.value.sum(), gradient)


def _with_constants(rows, theta, a, value, gradient):
    """Value and gradient with what every observation adds."""
    _, log_sigma_U, _, log_sigma_V = rows.split(theta)
    constant, slope, _ = PAIRS[rows.kinds].constant(a)
    gradient[[place for place in rows.places if place is not None]] -= rows.n  # of -log σ
    gradient[-1] += rows.n * slope
    return float(value + rows.n * (constant - log_sigma_U - log_sigma_V)), gradient


def scores(rows, theta, a):
    """Each observation's gradient in (θ, a) at one point, (rows.n, rows.size + 1).

    It wants uncompressed rows; the last column belongs to a = atanh ρ.
    """
    _check_whole(rows)
    p, J_u, J_v = _parts(rows, theta, a)
    each = np.column_stack([p.first[:, None] * J_u, p.second[:, None] * J_v, p.a])
    each[:, [place for place in rows.places if place is not None]] -= 1  # of -log σ
    each[:, -1] += PAIRS[rows.kinds].constant(a)[1]
    return each


def _parts(rows, theta, a):
    """Each observation's derivatives in its two numbers, and the Jacobians of these in θ."""
    _, log_sigma_U, _, log_sigma_V = rows.split(theta)
    outcome, treatment = (KINDS[kind] for kind in rows.kinds)
    u, v, p = _partials(rows, theta, a)
    return p, outcome.jacobian(rows.A, u, log_sigma_U), treatment.jacobian(rows.Z, v, log_sigma_V)


def _partials(rows, theta, a):
    """Each observation's two numbers, and its derivatives in these and a."""
    u, v = errors_or_indices(rows, theta)
    return u, v, PAIRS[rows.kinds].partials(u, v, 2 * rows.y - 1, 2 * rows.t - 1, a)


def _check_whole(rows):
    if len(rows.y) != rows.n:
        raise ValueError(
            f"rows stand for {rows.n} observations in {len(rows.y)}; accepted are uncompressed "
            "rows."
        )


def _curvature(J, f, kind):
    """Σ f ∂²: an index is linear in θ; an error (y - Aθ)/σ bends with its last, log σ, alone."""
    extra = np.zeros((J.shape[1], J.shape[1]))
    if kind.scaled:
        extra[:, -1] = extra[-1, :] = -(f @ J)
    return extra


class ProbitFit(NamedTuple):
    """Coefficients of a probit regression and whether Newton's method found a maximum."""

    beta: np.ndarray
    converged: bool


def probit(Z, t, *, root=None, iterations=30):
    """Probit regression by Newton's method, the start for everything binary.

    A maximum that is found proves that the treated and the untreated overlap; none found is
    reported, not raised, since the caller knows the columns' names. With a `root` the coefficients
    have the normal prior whose precision is ``root.T @ root``, and there is always a maximum. Of
    very many rows a part is asked first where that is.
    """
    q, blocks, some = 2 * t - 1, cuts(len(t), BLOCK), drawn(len(t))
    squares = sum((Z[block] ** 2).sum(axis=0) for block in blocks)

    def uphill(beta):
        return sum(_uphill(Z[block], q[block], beta) for block in blocks)

    beta = np.zeros(Z.shape[1])
    if some is not None and (near := probit(Z[some], t[some], root=root)).converged:
        beta = near.beta
    return _climb(uphill, beta, np.sqrt(squares / len(t)), root, iterations)


def probit_in_pieces(design, equation, root):
    """`probit` of an equation whose rows come in pieces, from that of a part of them."""
    part = regression_of(design.all_rows.part(design), equation)
    near, (few, _) = probit(*part, root=root), regression_of(design, equation)

    def uphill(beta):
        return total(design, partial(_uphill_in, equation, beta))

    return _climb(uphill, near.beta, np.sqrt((few**2).mean(axis=0)), root)


def regression_of(design, equation):
    """The columns and the response of an equation."""
    rows = rows_of(design)
    return (rows.A, rows.y) if equation == "outcome" else (rows.Z, rows.t)


def _uphill_in(equation, beta, design):
    Z, t = regression_of(design, equation)
    return _uphill(Z, 2 * t - 1, beta)


def _climb(uphill, beta, unit, root, iterations=30):
    """Newton's method from `beta`; `unit` is the root mean square of each column."""
    precision = np.zeros(2 * (len(beta),)) if root is None else root.T @ root
    unit = np.where(unit > 0, unit, 1.0)
    beta = beta * unit
    for _ in range(iterations):
        slopes = uphill(beta / unit)
        curvature, slope = slopes[:, :-1] + precision, slopes[:, -1] - precision @ (beta / unit)
        try:
            step = np.linalg.solve(curvature / np.outer(unit, unit), slope / unit)
        except np.linalg.LinAlgError:
            return ProbitFit(beta / unit, False)
        beta = beta + step  # for one typical value of each column
        if np.abs(step).max(initial=0.0) < 1e-8:
            return ProbitFit(beta / unit, bool(np.abs(beta).max(initial=0.0) < 1e3))
    return ProbitFit(beta / unit, False)


def _uphill(Z, q, beta):
    """Curvature and, as a last column, slope of a probit's log-likelihood, of signs q."""
    w = q * (Z @ beta)
    g = np.exp(-0.5 * w**2 - 0.5 * LOG_2PI - log_ndtr(w))
    return Z.T @ np.column_stack([(g * (w + g))[:, None] * Z, q * g])
