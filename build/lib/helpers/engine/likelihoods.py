"""The exact log-likelihood of the joint model, with its first two derivatives, in NumPy.

Both models are two errors, in the units of their spread:

    r = (y - A θ_O) / σ_U                              the outcome's; A = [1, X, M∘c, c]
    v = (t - Z θ_T) / σ_V     continuous treatment     the treatment's
    η = Z θ_T                 binary treatment         its index, where the latent v is integrated out

With ρ = tanh a, so that 1/√(1-ρ²) = cosh a and ρ/√(1-ρ²) = sinh a, one observation contributes

    continuous   -½v² - ½(r cosh a - v sinh a)² + log cosh a - log σ_U - log σ_V - log 2π
    binary       -½r² + log Φ(q(η cosh a + r sinh a)) - log σ_U - ½ log 2π,          q = 2t - 1

A parameter vector is θ = (θ_O, log σ_U, θ_T[, log σ_V]); θ_O = (intercept_O, β_O, δ, α) ends with the effect.
"""

from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
from joblib import Parallel, cpu_count, delayed
from scipy.special import log_ndtr

LOG_2PI = np.log(2 * np.pi)


class Rows(NamedTuple):
    """The data as the likelihood reads them: A and Z with their columns' names, y, t and the true n.

    The continuous likelihood is a sum of squares, so n rows of W = [1, X, T, Y] can be replaced by the
    few rows of R in W = QR: R'R = W'W. Nothing is lost, and nothing later depends on n. The outcome equation
    has the treatment as c = t - t̄ (c = t if binary), and where moderators M change the effect, M∘c.
    """

    A: np.ndarray
    Z: np.ndarray
    y: np.ndarray
    t: np.ndarray
    n: int
    kind: str
    names_O: tuple
    names_T: tuple
    moderators: tuple = ()

    @classmethod
    def of(cls, design, compress=True):
        """Rows of a design; `compress=False` keeps all n, for pointwise work."""
        dose = design.dose[:, None]
        W = np.column_stack([np.ones(design.n), design.C, design.M * dose, dose, design.t, design.y])
        if compress and design.kind == "continuous":
            W = np.linalg.qr(W, mode="r")
        moderators = tuple(f"delta[{label}]" for label in design.moderators)
        own = np.ones(len(moderators) + 1, dtype=bool)  # the treatment's columns, of the outcome equation alone
        in_O = np.r_[design.intercept_O, design.in_outcome, own]
        in_T = np.r_[design.intercept_T, design.in_treatment, ~own]
        names = np.array(["intercept", *design.covariates, *moderators, "alpha"], dtype=object)
        A, Z = (np.ascontiguousarray(W[:, :-2][:, mask]) for mask in (in_O, in_T))
        return cls(A, Z, W[:, -1].copy(), W[:, -2].copy(), design.n, design.kind,
                   tuple(names[in_O]), tuple(names[in_T]), moderators)  # fmt: skip

    @property
    def size(self):
        """Length of θ."""
        return len(self.names_O) + 1 + len(self.names_T) + (self.kind == "continuous")

    def split(self, theta):
        """θ_O, log σ_U, θ_T and log σ_V (zero for a binary treatment) of one or many θ."""
        k, q = len(self.names_O), len(self.names_T)
        log_sigma_V = theta[..., k + 1 + q] if self.kind == "continuous" else np.zeros(theta.shape[:-1])
        return theta[..., :k], theta[..., k], theta[..., k + 1 : k + 1 + q], log_sigma_V


_BUILT = WeakKeyDictionary()


def rows_of(design):
    """The rows of a design as the likelihood wants them, compressed where they can be; built once a design."""
    if design not in _BUILT:
        _BUILT[design] = Rows.of(design)
    return _BUILT[design]


def log_likelihood(rows, theta, a, *, chunk=2**19):
    """Log-likelihood of many parameter vectors.

    Parameters
    ----------
    rows : Rows
    theta : ndarray, shape (draws, rows.size)
    a : ndarray, shape (draws,)
        atanh ρ of each draw.
    chunk : int
        Numbers held at a time, so that memory does not grow with draws times rows.

    Returns
    -------
    ndarray, shape (draws,)
    """
    theta, a = np.atleast_2d(theta), np.atleast_1d(a)
    step = max(1, chunk // len(rows.y))
    parts = [slice(i, i + step) for i in range(0, len(theta), step)]
    work = (delayed(_kernel_sum)(rows, theta[part], a[part]) for part in parts)
    threads = min(cpu_count(), len(parts))
    kernel = np.concatenate(Parallel(n_jobs=threads, prefer="threads")(work))
    return kernel + rows.n * _constant(rows, theta, a)


def pointwise(rows, theta, a, *, offsets=(0.0, 0.0)):
    """Log-likelihood of each observation (columns) under each draw (rows); wants uncompressed rows.

    `offsets`, as in `errors`, is where a forest comes in.
    """
    if len(rows.y) != rows.n:
        raise ValueError(f"rows stand for {rows.n} observations in {len(rows.y)}; accepted are uncompressed rows.")
    return _kernel(rows, theta, a, offsets) + _constant(rows, theta, a)[:, None]


def errors(rows, theta, offsets=(0.0, 0.0)):
    """r and v (or η, when the treatment is binary) of many θ: two arrays of shape (draws, rows).

    `offsets` are added to the index of the outcome and of the treatment: (draws, rows), or anything that broadcasts.
    """
    theta_O, log_sigma_U, theta_T, log_sigma_V = rows.split(theta)
    r = (rows.y - theta_O @ rows.A.T - offsets[0]) * np.exp(-log_sigma_U)[..., None]
    index = theta_T @ rows.Z.T + offsets[1]
    if rows.kind == "binary":
        return r, index
    return r, (rows.t - index) * np.exp(-log_sigma_V)[..., None]


def _kernel(rows, theta, a, offsets=(0.0, 0.0)):
    r, second = errors(rows, theta, offsets)
    cosh, sinh = np.cosh(a)[:, None], np.sinh(a)[:, None]
    if rows.kind == "binary":
        return -0.5 * r**2 + log_ndtr((2 * rows.t - 1) * (second * cosh + r * sinh))
    return -0.5 * (second**2 + (r * cosh - second * sinh) ** 2)


def _kernel_sum(rows, theta, a):
    return _kernel(rows, theta, a).sum(axis=1)


def _constant(rows, theta, a):
    _, log_sigma_U, _, log_sigma_V = rows.split(theta)
    if rows.kind == "binary":
        return -log_sigma_U - 0.5 * LOG_2PI
    return np.log(np.cosh(a)) - log_sigma_U - log_sigma_V - LOG_2PI


def derivatives(rows, theta, a):
    """Value, gradient and Hessian of the log-likelihood in (θ, a), at one point.

    Returns
    -------
    value : float
    gradient : ndarray, shape (rows.size + 1,)
    hessian : ndarray, shape (rows.size + 1, rows.size + 1)
        The last entry of each belongs to a = atanh ρ.
    """
    _, log_sigma_U, _, log_sigma_V = rows.split(theta)
    r, s = errors(rows, theta)
    value, f_r, f_s, f_a, f_rr, f_rs, f_ss, f_ra, f_sa, f_aa = _partials(rows, r, s, a)
    # r and s move with θ through the rows of these two Jacobians
    J_r = np.column_stack([-rows.A * np.exp(-log_sigma_U), -r])
    continuous = rows.kind == "continuous"
    J_s = np.column_stack([-rows.Z * np.exp(-log_sigma_V), -s]) if continuous else rows.Z
    k, m = J_r.shape[1], rows.size
    gradient = np.concatenate([f_r @ J_r, f_s @ J_s, [f_a.sum()]])
    H = np.empty((m + 1, m + 1))
    H[:k, :k] = J_r.T @ (f_rr[:, None] * J_r) + _curvature(J_r, f_r)
    H[:k, k:m] = J_r.T @ (f_rs[:, None] * J_s)
    H[k:m, k:m] = J_s.T @ (f_ss[:, None] * J_s) + (_curvature(J_s, f_s) if continuous else 0)
    H[:k, m], H[k:m, m], H[m, m] = J_r.T @ f_ra, J_s.T @ f_sa, f_aa.sum()
    H = np.triu(H) + np.triu(H, 1).T
    value += rows.n * float(_constant(rows, theta[None], np.array([a]))[0])
    gradient[k - 1] -= rows.n
    if continuous:
        gradient[m - 1] -= rows.n
        gradient[m] += rows.n * np.tanh(a)
        H[m, m] += rows.n / np.cosh(a) ** 2
    return value, gradient, H


def _curvature(J, f):
    """Σ f ∂²e for an error e = (y - Aθ)/σ: only its derivatives with log σ, the last column, count."""
    extra = np.zeros((J.shape[1], J.shape[1]))
    extra[:, -1] = extra[-1, :] = -(f @ J)
    return extra


def _partials(rows, r, s, a):
    """The kernel f(r, s, a) summed, and its derivatives row by row."""
    cosh, sinh = np.cosh(a), np.sinh(a)
    if rows.kind == "binary":
        q = 2 * rows.t - 1
        w, w_a = q * (s * cosh + r * sinh), q * (s * sinh + r * cosh)
        log_Phi = log_ndtr(w)
        g = np.exp(-0.5 * w**2 - 0.5 * LOG_2PI - log_Phi)  # inverse Mills ratio φ(w)/Φ(w)
        h = -g * (w + g)
        value = float(np.sum(-0.5 * r**2 + log_Phi))
        return (
            value, -r + g * q * sinh, g * q * cosh, g * w_a, h * sinh**2 - 1, h * sinh * cosh, h * cosh**2,
            h * w_a * q * sinh + g * q * cosh, h * w_a * q * cosh + g * q * sinh, h * w_a**2 + g * w,
        )  # fmt: skip
    e, e_a = r * cosh - s * sinh, r * sinh - s * cosh
    value = float(np.sum(-0.5 * (s**2 + e**2)))
    one = np.ones_like(r)
    return (
        value, -e * cosh, -s + e * sinh, -e * e_a, -(cosh**2) * one, cosh * sinh * one, -(1 + sinh**2) * one,
        -(e_a * cosh + e * sinh), e_a * sinh + e * cosh, -(e_a**2 + e**2),
    )  # fmt: skip


class ProbitFit(NamedTuple):
    """Coefficients of a probit regression and whether Newton's method found a maximum."""

    beta: np.ndarray
    converged: bool


def probit(Z, t, *, iterations=30):
    """Probit regression by Newton's method, the start for everything binary.

    A maximum that is found proves that the treated and the untreated overlap; none found is reported,
    not raised, since the caller knows the columns' names.
    """
    q = 2 * t - 1
    beta = np.zeros(Z.shape[1])
    for _ in range(iterations):
        w = q * (Z @ beta)
        g = np.exp(-0.5 * w**2 - 0.5 * LOG_2PI - log_ndtr(w))
        try:
            step = np.linalg.solve(Z.T @ ((g * (w + g))[:, None] * Z), Z.T @ (q * g))
        except np.linalg.LinAlgError:
            return ProbitFit(beta, False)
        beta = beta + step
        if np.abs(step).max() < 1e-8:
            return ProbitFit(beta, bool(np.abs(beta).max() < 1e3))
    return ProbitFit(beta, False)
