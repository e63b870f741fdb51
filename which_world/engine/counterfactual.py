"""What the treatment does to the chance of a yes: everybody moved, each with her own error.

The effect on the mean of a continuous outcome is α itself. A binary outcome's α shifts an index,
and its effect on the chance of Y = 1 depends on where a row stands. A binary treatment is set to 1
and to 0, which cuts U loose: it is standard normal, and the row's answer Φ(μ₁) - Φ(μ₀). A
continuous one is moved by a step s from where it is. There its V is known, v = (t - m)/σ_V, and U
given v is Normal(ρv, √(1-ρ²)) before the step and after it, so that with a = atanh ρ the answer is
Φ(w₁) - Φ(w₀), w₀ = μ cosh a + v sinh a, w₁ = w₀ + s(α + w'δ) cosh a.
"""

from dataclasses import replace
from functools import partial

import numpy as np
from joblib import Parallel, cpu_count, delayed

from which_world.design import total
from which_world.engine.bivariate import Phi
from which_world.engine.likelihoods import LOG_2PI, errors_or_indices, handed, rows_of
from which_world.engine.pairs import KINDS, PAIRS
from which_world.moments import BLOCK, cuts

POINTS = 100.0  # chances are told in percentage points
CHUNK = 2**16  # numbers held at a time, in the cache


def average_effect(design, theta, a, *, offsets=(0.0, 0.0), at=None):
    """The effect that is read, (...), of many θ, (..., size of θ), and a = atanh ρ.

    α for a continuous outcome. For a binary one the average over rows of Φ(w₁) - Φ(w₀), in
    percentage points: T = 1 against 0, or a continuous T higher by the design's step than it was.
    `offsets`, each (..., n) or 0, are what forests add to the index of the outcome and of the
    treatment; `at`, (k,), are standardised values that every row's k moderators have in the
    outcome's line instead of its own.
    """
    rows, shape = rows_of(design), theta.shape[:-1]
    if design.outcome_kind == "continuous":
        return rows.split(theta)[0][..., -1].copy()  # a view would keep all of θ
    if design.all_rows is not None:
        return total(design, partial(_summed, average_effect, theta, a)) / design.n
    if at is not None:
        design = _moved(design, at)
        # the treatment's equation keeps what made the dose
        rows = rows._replace(A=rows_of(design).A)
    theta, a = theta.reshape(-1, rows.size), np.broadcast_to(a, shape).ravel()
    offsets = [np.reshape(each, (-1, design.n)) if np.ndim(each) else each for each in offsets]
    blocks, step = cuts(design.n, BLOCK), max(1, CHUNK // min(design.n, BLOCK))
    shares = handed(len(theta), step) if len(blocks) == 1 else cuts(len(theta), len(theta) or 1)
    tasks = [(block, share) for block in blocks for share in shares]
    work = (delayed(_difference)(design, rows, theta, a, offsets, *task, step) for task in tasks)
    summed = np.zeros(len(theta))
    jobs = max(1, min(cpu_count(), len(tasks)))
    for (_, share), found in zip(tasks, Parallel(n_jobs=jobs, require="sharedmem")(work)):
        summed[share] += found
    return POINTS / design.n * summed.reshape(shape)


def effect_slope(design, theta, a):
    """The gradient of `average_effect` in (θ, a) of many, (..., size of θ + 1); a is last."""
    rows, shape = rows_of(design), (*theta.shape[:-1], theta.shape[-1] + 1)
    if design.outcome_kind == "continuous":
        return np.broadcast_to(np.eye(rows.size + 1)[len(rows.names_O) - 1], shape)
    if design.all_rows is not None:
        return total(design, partial(_summed, effect_slope, theta, a)) / design.n
    points = list(zip(theta.reshape(-1, rows.size), np.broadcast_to(a, shape[:-1]).ravel()))
    each = 0.0
    for block in cuts(design.n, BLOCK):
        part = rows.cut(block)
        each = each + np.array([_slope(design, part, block, *point) for point in points])
    return POINTS / design.n * each.reshape(shape)


def _summed(average, theta, a, design):
    """What is an average over some rows, as their sum."""
    return design.n * average(design, theta, a)


def imputed_chances(rows, theta, a, steps):
    """The chance of Y = 1 after a step in the treatment, given each row's own answer, (draws, n).

    The latent error stays with the row: U > -μ where y = 1, and the index moves from μ to μ + step.
    With K(m) = P(U > -m, T) the chance is K(min(μ, μ + step))/K(μ) for a yes; a no likewise keeps
    its own side. `rows` are all n of them, with a binary outcome; θ is (draws, rows.size), a
    (draws,), and `steps`, (draws, n), what the step adds to each row's index.
    """
    pair = PAIRS[rows.kinds]
    mu, v = errors_or_indices(rows, theta)
    s, q, a = 2 * rows.y - 1, 2 * rows.t - 1, a[:, None]
    kept = np.where(s > 0, np.minimum(mu, mu + steps), np.maximum(mu, mu + steps))
    stays = np.exp(pair.kernel(kept, v, s, q, a) - pair.kernel(mu, v, s, q, a))
    return np.where(s > 0, stays, 1 - stays)


def _moved(design, at):
    """The design with the same moderators in every row."""
    C = design.C.copy()
    C[:, design.moderates] = at
    return replace(design, C=C)


def _difference(design, rows, theta, a, offsets, block, share, step):
    """Φ(w₁) - Φ(w₀) of some θ, summed over a block of rows, `step` of them at a time."""
    part, M, sums = rows.cut(block), design.C[block][:, design.moderates], []
    W = _columns(design, part)
    for k in cuts(share.stop - share.start, step):
        some = slice(share.start + k.start, share.start + k.stop)
        here = [each[some, block] if np.ndim(each) else each for each in offsets]
        before, after = _indices(design, part, W, M, theta[some], a[some], here)
        sums.append((Phi(after) - Phi(before)).sum(axis=1))
    return np.concatenate(sums)


def _columns(design, rows):
    """The columns that w₀ combines, of some rows: without a choice, or all that a dose brings."""
    if design.kind == "binary":
        return rows.A[:, : -1 - len(rows.moderators)]
    return np.column_stack([rows.A, rows.Z, rows.t])


def _indices(design, rows, W, M, theta, a, offsets=(0.0, 0.0)):
    """w₀ and w₁, each (draws, rows), of many θ in rows with columns W and moderators M."""
    theta_O, _, theta_T, log_sigma_V = rows.split(theta)
    effect = theta_O[:, -1:] + theta_O[:, -1 - M.shape[1] : -1] @ M.T
    if design.kind == "binary":
        before = theta_O[:, : W.shape[1]] @ W.T + offsets[0]
        return before, before + effect
    cosh, pull = np.cosh(a)[:, None], (np.sinh(a) * np.exp(-log_sigma_V))[:, None]
    before = np.hstack([cosh * theta_O, -pull * theta_T, pull]) @ W.T + (
        cosh * offsets[0] - pull * offsets[1]
    )
    return before, before + design.step * cosh * effect


def _slope(design, rows, block, theta, a):
    """The gradient of the sum over some rows of Φ(w₁) - Φ(w₀) in (θ, a)."""
    M = design.C[block][:, design.moderates]
    at = _indices(design, rows, _columns(design, rows), M, theta[None], np.array([a]))
    before, after = (w[0] for w in at)
    low, high = (np.exp(-0.5 * w**2 - 0.5 * LOG_2PI) for w in (before, after))
    B = np.column_stack([M, np.ones(len(M))])  # of the effect on the index, in (δ, α)
    if design.kind == "binary":
        outcome = np.concatenate([(high - low) @ rows.A[:, : -B.shape[1]], high @ B])
        return np.concatenate([outcome, np.zeros(1 + rows.size - len(outcome))])
    (_, v), cosh, sinh = errors_or_indices(rows, theta[None]), np.cosh(a), np.sinh(a)
    outcome = (high - low) @ rows.A
    outcome[-B.shape[1] :] += design.step * (high @ B)
    treatment = (high - low) @ KINDS["continuous"].jacobian(rows.Z, v[0], rows.split(theta)[3])
    # w = μ cosh a + v sinh a, so dw/da = μ sinh a + v cosh a = w tanh a + v/cosh a
    bend = np.tanh(a) * (high @ after - low @ before) + (high - low) @ v[0] / cosh
    return np.concatenate([cosh * outcome, sinh * treatment, [bend]])
