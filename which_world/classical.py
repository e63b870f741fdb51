"""Least squares and maximum likelihood: what the same equations say without priors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import statsmodels.api as sm
from scipy.stats import norm
from statsmodels.regression.linear_model import OLSResults, RegressionResultsWrapper

from which_world import arguments
from which_world.design import Design, check_design, check_rows, with_covariates
from which_world.engine.counterfactual import average_effect, effect_slope
from which_world.engine.laplace import (
    ascent,
    columns,
    covariance,
    least_squares,
    of_part,
    through,
)
from which_world.engine.likelihoods import Rows, derivatives, drawn, rows_of, scores
from which_world.moments import MANY_COLUMNS, Moments, as_few, condensed, on_one_thread
from which_world.tables.guards import few, separation

if TYPE_CHECKING:
    from statsmodels.regression.linear_model import RegressionResults

    from which_world.priors import Scales

# log-likelihood of a part of the rows by which a lower top may still be the highest
DOUBTFUL = 10.0
EDGE = 6.0  # |atanh ρ|, |ρ| = 0.99999: beyond, the likelihood is taken to have no interior maximum


@dataclass(frozen=True, repr=False)
class MaximumLikelihood:
    """The result of `maximum_likelihood`; arrays throughout when ρ was given as a vector.

    Attributes
    ----------
    alpha, rho, sigma_U : float or ndarray
        The effect (outcome, or the index of a binary outcome, per unit of treatment), the error
        correlation, the outcome's error sd (1 for a binary outcome).
    effect, effect_se : float or ndarray
        The effect that is read: α, or for a binary outcome the average difference that the
        treatment makes to its chance, in percentage points, everybody keeping her own error; with
        its standard error by the delta method.
    step : float
        Of a binary outcome's effect: by how much the continuous treatment is moved (`make_design`);
        1 elsewhere.
    log_likelihood : float or ndarray
    estimates, standard_errors : pandas.Series or DataFrame
        Every parameter by name; ``beta`` entries, and a moderator's ``delta``, are per standard
        deviation of their covariate.
    """

    alpha: float | np.ndarray
    rho: float | np.ndarray
    sigma_U: float | np.ndarray
    log_likelihood: float | np.ndarray
    estimates: pd.Series | pd.DataFrame
    standard_errors: pd.Series | pd.DataFrame
    effect: float | np.ndarray
    effect_se: float | np.ndarray
    step: float = 1.0

    def __repr__(self) -> str:
        return f"{self._heading}\n{self.summary()}"

    def _repr_html_(self) -> str:
        return f"<p>{self._heading}</p>{self.summary().to_html(max_rows=60)}"

    @property
    def _heading(self) -> str:
        """What stands over the table wherever the result is shown."""
        highest = np.max(self.log_likelihood)
        return f"MaximumLikelihood, log likelihood {highest:,.2f}; the table by .summary()"

    def summary(self) -> pd.DataFrame:
        """A table: one row a parameter with its 95 % interval, or one row a ρ for a profile.

        Where the effect is not that of one unit of the treatment, the name of the columns says so.
        """
        heading = None if self.step == 1 else f"effect: {self.step:g} more of the treatment"
        table = self._parameters() if np.ndim(self.rho) == 0 else self._profile()
        return table.rename_axis(columns=heading)

    @property
    def _binary(self) -> bool:
        """Whether the outcome is binary, whose effect is not α."""
        return "sigma_U" not in self.estimates

    def _parameters(self) -> pd.DataFrame:
        """One row a parameter, with its 95 % interval."""
        estimate, se = self.estimates, self.standard_errors
        if self._binary:
            estimate = pd.concat([pd.Series({"effect": self.effect}), estimate])
            se = pd.concat([pd.Series({"effect": self.effect_se}), se])
        half = norm.ppf(0.975) * se
        return pd.DataFrame(
            {"estimate": estimate, "se": se, "low": estimate - half, "high": estimate + half}
        )

    def _profile(self) -> pd.DataFrame:
        """One row a ρ, with the log-likelihood there, and what it lacks to the largest."""
        if self._binary:
            columns = {"effect": self.effect, "se": self.effect_se, "alpha": self.alpha}
        else:
            se = self.standard_errors["alpha"].to_numpy()
            columns = {"alpha": self.alpha, "se": se, "sigma_U": self.sigma_U}
        columns["log_likelihood"] = self.log_likelihood
        columns["relative"] = self.log_likelihood - np.max(self.log_likelihood)
        return pd.DataFrame(columns, index=pd.Index(np.atleast_1d(self.rho), name="rho"))


@on_one_thread
def ols(design: Design, *, cluster: npt.ArrayLike | None = None) -> RegressionResults:
    """statsmodels' least squares of the outcome on treatment and covariates.

    Parameters
    ----------
    design : Design
    cluster : array-like, shape (n,), optional
        Which cluster (village, family, person) each row belongs to, in the rows' order. Standard
        errors then allow the errors of one cluster any correlation (Liang & Zeger 1986), with
        statsmodels' small-sample correction.

    Returns
    -------
    statsmodels.regression.linear_model.RegressionResults
        The effect is the coefficient named ``alpha``, a moderator's part of it ``delta[...]``;
        covariates are standardised, and a continuous treatment is measured from its mean. Where the
        design stands for rows that are not at hand, residuals and log-likelihood are those of the
        few rows it has; all else is as ever.

    See Also
    --------
    maximum_likelihood : both equations together, at any ρ.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from which_world import make_design, ols
    >>> rng = np.random.default_rng(0)
    >>> table = pd.DataFrame({"T": rng.normal(size=400), "X": rng.normal(size=400)})
    >>> table["Y"] = 2 * table["T"] + table["X"] + rng.normal(size=400)
    >>> design = make_design(table, outcome="Y ~ T + X", treatment="T ~ X")
    >>> round(float(ols(design).params["alpha"]), 1)
    2.0
    """
    rows = Rows.of(check_design(design), compress=False)
    A = pd.DataFrame(rows.A, columns=rows.names_O, copy=False)
    if cluster is None:
        few = as_few(np.column_stack([rows.A, rows.y]))
        if len(few) < len(A) == design.n:
            return _by_few_rows(few, rows.y, A)
        return line(rows.y, A, design.n)
    codes = arguments.groups(cluster, check_rows(design).n)
    options = {"cov_type": "cluster", "cov_kwds": {"groups": codes}}
    return sm.OLS(rows.y, A).fit(method="qr", **options)


def line(response: np.ndarray, A: pd.DataFrame, n: int, swept: int = 0) -> RegressionResults:
    """statsmodels' least squares of rows that stand for n, each for as many as any other.

    So many columns as `swept` says count among its parameters, and are no longer there.
    """
    if n == len(A):
        # by a QR, whose digits do not depend on the columns' units
        return sm.OLS(response, A).fit(method="qr")
    model = sm.WLS(response, A, weights=n / len(A))
    model.nobs = float(n)  # each weight counts rows
    if swept:
        model.df_resid = n - A.shape[1] - swept
    return model.fit(method="qr")


def _by_few_rows(few: np.ndarray, response: np.ndarray, A: pd.DataFrame) -> RegressionResults:
    """statsmodels' least squares with the sums of squares of a few rows, from `as_few`."""
    theta, _ = least_squares(few[:, :-1], few[:, -1])
    R = np.linalg.qr(few[:, :-1], mode="r")
    inverse = np.linalg.inv(R)
    model, products = sm.OLS(response, A), inverse @ inverse.T
    model.rank, model.normalized_cov_params = A.shape[1], products
    model.wexog_singular_values = np.linalg.svd(R, compute_uv=False)
    model.pinv_wexog = products @ A.to_numpy().T
    model.effects = inverse.T @ (few[:, :-1].T @ few[:, -1])
    return RegressionResultsWrapper(OLSResults(model, theta, products))


def swept(design: Design) -> Design:
    """The design less its covariates of both equations, and less what they explain of the rest.

    Parameters
    ----------
    design : Design
        Of two continuous responses.

    Returns
    -------
    Design
        Of the same ``n``, in few rows. The effect, the other coefficients, both scales and ρ have
        the least squares and the likelihood that they had (Frisch & Waugh 1933), and the same
        standard errors but for the degrees of freedom. The condensed design where these covariates
        are not many, an equation has no constant, or the effect changes with covariates.
    """
    few = condensed(design)
    shared = few.in_outcome & few.in_treatment
    constants = few.intercept_O and few.intercept_T
    if few.moderators or not constants or shared.sum() <= MANY_COLUMNS:
        return few
    if "swept" not in design.kept:
        design.kept["swept"] = _less(few, shared)
    return design.kept["swept"]


def _less(few: Design, shared: np.ndarray) -> Design:
    """`swept`, worked out: what a triangle holds below the rows of the shared columns."""
    columns = np.column_stack([few.C[:, shared], few.C[:, ~shared], few.t, few.y])
    triangle = np.linalg.qr(columns - columns.mean(axis=0), mode="r")
    left = triangle[shared.sum() :, shared.sum() :]
    vary = np.ones(len(left))
    rows = Moments(len(columns), 0 * vary, left, -vary, vary).few()
    C, t, y = rows[:, :-2], rows[:, -2], rows[:, -1]
    others = with_covariates(few, ~shared)
    return replace(others, C=C, t=t, y=y, centre=0.0, stands_for=few.n)


def effect_line(design: Design) -> RegressionResults:
    """Least squares of the outcome, to be asked for the effect alone.

    The same as `ols`, where covariates are many from `swept`, its degrees of freedom mended.
    """
    if design.kinds != ("continuous", "continuous"):
        return ols(condensed(design))
    few = swept(design)
    rows = Rows.of(few, compress=False)
    A = pd.DataFrame(rows.A, columns=rows.names_O, copy=False)
    apart = design.in_outcome.sum() - few.in_outcome.sum()
    return line(rows.y, A, few.n, swept=apart)


@on_one_thread
def maximum_likelihood(
    design: Design,
    *,
    rho: float | Sequence[float] | np.ndarray | None = None,
    cluster: npt.ArrayLike | None = None,
) -> MaximumLikelihood:
    """The classical endogenous-treatment estimate, without priors.

    Parameters
    ----------
    design : Design
    rho : float or sequence of float, optional
        Fixes the error correlation: a point of the profile likelihood, or several. Left out, ρ is
        estimated with everything else.
    cluster : array-like, shape (n,), optional
        As in `ols`: the estimates stay, the standard errors become H⁻¹(Σ sₖsₖ')H⁻¹ G/(G-1)
        (n-1)/(n-k), with sₖ the summed scores of one of the G clusters and k parameters.

    Returns
    -------
    MaximumLikelihood

    Raises
    ------
    ValueError
        When a given ρ lies outside (-1, 1). When ρ is to be estimated for a continuous treatment
        without an instrument: it is not identified, since the likelihood is flat in it. When a
        binary treatment is predicted without error in some rows, so that the estimate is infinite.
    RuntimeError
        When the likelihood still rises at \\|ρ| = 0.99999, or the search ends without a maximum.

    References
    ----------
    Heckman 1978; Maddala 1983 (binary treatment); Liang & Zeger 1986 (clusters). For a continuous
    treatment with one instrument the estimate is two-stage least squares.

    See Also
    --------
    map_rho : the same at every ρ, with priors.

    Examples
    --------
    A hidden cause moves treatment and outcome; at the ρ that it makes, the effect of 2 is found:

    >>> import numpy as np, pandas as pd
    >>> from which_world import make_design, maximum_likelihood
    >>> rng = np.random.default_rng(0)
    >>> U, V = rng.multivariate_normal([0, 0], [[1, 0.6], [0.6, 1]], size=2000).T
    >>> table = pd.DataFrame({"X": rng.normal(size=2000)})
    >>> table["T"] = table["X"] + V
    >>> table["Y"] = 2 * table["T"] + table["X"] + U
    >>> design = make_design(table, outcome="Y ~ T + X", treatment="T ~ X")
    >>> maximum_likelihood(design, rho=[0.0, 0.6]).alpha.round(1)
    array([2.6, 2. ])
    """
    rows = rows_of(check_design(design))
    given = arguments.optional(arguments.correlations, rho, "rho")
    codes = None if cluster is None else arguments.groups(cluster, check_rows(design).n)
    _check_finite(design)
    if rho is None:
        theta, a, H = _estimate_rho(design, rows)
        whole = _clustered(design, theta, a, covariance(H), codes)
        value = derivatives(rows, theta, a)[0]
        effect, slope = average_effect(design, theta, a), effect_slope(design, theta, a)
        return _point(design, theta, a, value, whole, effect, slope)
    distinct, back = np.unique(np.arctanh(given), return_inverse=True)
    profile = columns(rows, None, distinct)
    effects = average_effect(design, profile.mode, distinct)
    slopes = effect_slope(design, profile.mode, distinct)
    points = []
    for theta, a, root, value, effect, slope in zip(
        profile.mode, distinct, profile.root, profile.value, effects, slopes
    ):
        of_theta = _clustered(design, theta, a, root @ root.T, codes)
        points.append(_point(design, theta, a, value, of_theta, effect, slope))
    return points[back[0]] if np.ndim(rho) == 0 else _stack([points[place] for place in back])


def _clustered(
    design: Design,
    theta: np.ndarray,
    a: float,
    covariance: np.ndarray,
    codes: np.ndarray | None,
) -> np.ndarray:
    """The covariance of an estimate whose rows come in clusters.

    It is of θ, or, where it has one row more, of (θ, a).
    """
    if codes is None:
        return covariance
    size = len(covariance)
    each = scores(Rows.of(design, compress=False), theta, a)[:, :size]
    sums = np.zeros((codes.max() + 1, size))
    np.add.at(sums, codes, each)
    clusters, n = len(sums), design.n
    correction = clusters / (clusters - 1) * (n - 1) / (n - size)
    return correction * covariance @ (sums.T @ sums) @ covariance


def effect_at_rho(design: Design, rho: float, prior: Scales | None = None) -> float:
    """The effect at one ρ of the coefficients that fit best, or of the posterior's mode.

    The latter under a prior; for a binary outcome in percentage points.
    """
    return effects_along(design, prior)(np.arctanh(rho))


def effects_along(design: Design, prior: Scales | None = None) -> Callable[[float], float]:
    """`effect_at_rho` as a function of a = atanh ρ, which searches from the modes found before."""
    if prior is None and "binary" not in design.kinds:
        design = swept(design)
    rows = rows_of(design)
    modes: dict[float, np.ndarray] = {}

    @cache
    def effect(a):
        near = sorted(modes, key=lambda known: abs(known - a))[:3]
        guess = through(np.array(near), [modes[known] for known in near], a) if near else None
        modes[a] = columns(rows, prior, [a], guess).mode[0]
        return float(average_effect(design, modes[a], a))

    return effect


def finite(design: Design) -> bool:
    """Whether each equation has a maximum likelihood estimate that is finite."""
    return not any(_separating(design).values())


def _separating(design: Design) -> dict[str, list[str]]:
    """By equation, what predicts its binary response without error in some rows."""
    if "separated" not in design.kept:  # a profile asks for many points of one design
        design.kept["separated"] = {
            equation: separation(design, equation) for equation in ("treatment", "outcome")
        }
    return design.kept["separated"]


def _check_finite(design: Design) -> None:
    """Refuse an equation without finite estimate: priors are what it takes then."""
    for equation, guilty in _separating(design).items():
        if guilty:
            raise ValueError(
                f"a combination of {few(guilty)} predicts the {equation} "
                f"{getattr(design, equation)!r} without error for some rows, so the {equation} "
                "equation's maximum likelihood estimate is infinite. Accepted are routes with "
                "priors: map_rho(design), make_report(design) or fit(joint_model(design))."
            )


def _estimate_rho(design: Design, rows: Rows) -> tuple[np.ndarray, float, np.ndarray]:
    """θ and a = atanh ρ at the maximum over both, and the Hessian there."""
    if design.kind == "continuous" and not design.instruments:
        raise ValueError(
            "rho is not identified: with a continuous treatment and the same covariates in both "
            "equations the likelihood is exactly flat in rho. Accepted are a fixed rho=, an "
            "instrument (a term of the treatment formula alone), or a prior over rho in "
            "joint_model."
        )
    if "binary" not in design.kinds and len(swept(design).covariates) < len(design.covariates):
        few = swept(design)
        _, a, _ = _estimate_rho(few, rows_of(few))
        theta = columns(rows, None, [a]).mode[0]
        return theta, a, derivatives(rows, theta, a)[2]
    climbs = (climb(rows, point) for point in _below_the_tops(rows, np.linspace(-2.5, 2.5, 21)))
    top = max(climbs, key=lambda climb: climb.value)
    theta, a = top.point[:-1], top.point[-1]
    if top.arrived:
        return theta, a, top.hessian
    trouble = f"no maximum of the likelihood was found: the search ended at rho={np.tanh(a):.4f}"
    if abs(a) > EDGE:
        trouble = f"the likelihood still rises at rho={np.tanh(a):.7f}, towards |rho| = 1"
    raise RuntimeError(f"{trouble}; accepted are a fixed rho=, or a prior over rho in joint_model.")


def _below_the_tops(rows: Rows, a: np.ndarray) -> list[np.ndarray]:
    """Points (θ, a) from which to climb: the highest of a profile.

    Of very many rows a part has that profile, and each of its tops that might be the highest.
    """
    profile = of_part(rows, None, a)
    if profile is None:
        profile = columns(rows, None, a)
        tops = np.array([np.argmax(profile.value)])
    else:
        height = np.r_[-np.inf, profile.value, -np.inf]
        highest = (height[1:-1] >= height[:-2]) & (height[1:-1] >= height[2:])
        tops = np.flatnonzero(highest & (profile.value > profile.value.max() - DOUBTFUL))
    return [np.r_[profile.mode[k], profile.a[k]] for k in tops]


class Climb(NamedTuple):
    """Where a climb over (θ, a) ended, a last; the log-likelihood and its Hessian there.

    ``arrived`` tells whether that is a maximum.
    """

    point: np.ndarray
    value: float
    hessian: np.ndarray
    arrived: bool


def climb(
    rows: Rows, point: np.ndarray, *, enough: float = np.inf, tolerance: float = 1e-10
) -> Climb:
    """Newton's method over θ and a together; of very many rows a part goes ahead.

    It stops early where the value exceeds `enough` or |a| exceeds EDGE.
    """
    if (some := drawn(len(rows.y))) is not None:
        ahead = climb(rows.cut(some), point)
        point = ahead.point if ahead.arrived else point
    value, gradient, H = derivatives(rows, point[:-1], point[-1])
    for _ in range(100):
        if value > enough or abs(point[-1]) > EDGE:
            break
        step = ascent(gradient, H)
        if gradient @ step < tolerance:
            return Climb(point, value, H, True)
        step = step / max(1.0, abs(step[-1]))  # a long step in a would leap over the maximum
        for size in 0.5 ** np.arange(20):
            new = point + size * step
            there = derivatives(rows, new[:-1], new[-1])
            if there[0] >= value - 1e-11 * abs(value):
                break
        else:
            break
        point, (value, gradient, H) = new, there
    return Climb(point, value, H, False)


def _point(
    design: Design,
    theta: np.ndarray,
    a: float,
    value: float,
    covariance: np.ndarray,
    effect: float,
    effect_gradient: np.ndarray,
) -> MaximumLikelihood:
    """Names, natural scales and (by the delta method) standard errors of one maximum."""
    names = _names(rows_of(design))
    estimate, slope = theta.copy(), np.ones(len(theta))  # of the estimate in θ
    for place, name in enumerate(names):
        if name.startswith("sigma"):
            estimate[place] = slope[place] = np.exp(theta[place])
    rho = np.tanh(a)
    if len(covariance) > len(theta):  # ρ was estimated too
        names = [*names, "rho"]
        estimate, slope = np.r_[estimate, rho], np.r_[slope, 1 - rho**2]
    estimates = pd.Series(estimate, index=names)
    effect_gradient = effect_gradient[: len(covariance)]
    return MaximumLikelihood(
        alpha=float(estimates["alpha"]),
        rho=float(rho),
        sigma_U=float(estimates.get("sigma_U", 1.0)),
        log_likelihood=float(value),
        estimates=estimates,
        standard_errors=pd.Series(slope * np.sqrt(np.diag(covariance)), index=names),
        effect=float(effect),
        effect_se=float(np.sqrt(effect_gradient @ covariance @ effect_gradient)),
        step=design.step,
    )


def _names(rows: Rows) -> list[str]:
    """The name of each entry of θ."""
    effects = [*rows.moderators, "alpha"]  # the last of the outcome's equation
    names = _in_equation(rows.names_O[: -len(effects)], "O") + effects
    outcome_scaled, treatment_scaled = rows.scaled
    if outcome_scaled:
        names.append("sigma_U")
    names += _in_equation(rows.names_T, "T")
    if treatment_scaled:
        names.append("sigma_V")
    return names


def _in_equation(names: Sequence[str], label: str) -> list[str]:
    """Names of an equation's columns as those of its coefficients."""
    return [
        f"intercept_{label}" if name == "intercept" else f"beta_{label}[{name}]" for name in names
    ]


def _stack(points: list[MaximumLikelihood]) -> MaximumLikelihood:
    """The points of a profile as one result, an array for each number and a table for each row."""
    stacked: dict[str, Any] = {}
    for name in vars(points[0]):
        values = [getattr(point, name) for point in points]
        rows = isinstance(values[0], pd.Series)
        stacked[name] = pd.DataFrame(values).reset_index(drop=True) if rows else np.array(values)
    return MaximumLikelihood(**stacked | {"step": points[0].step})
