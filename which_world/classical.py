"""Least squares and maximum likelihood: what the same equations say without priors."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
import statsmodels.api as sm
from scipy.stats import norm

from which_world import arguments
from which_world.design import check_design, check_rows
from which_world.engine.counterfactual import average_effect, effect_slope
from which_world.engine.laplace import ascent, columns, covariance
from which_world.engine.likelihoods import Rows, derivatives, rows_of, scores
from which_world.tables.guards import separation

EDGE = 6.0  # |atanh ρ| beyond which the likelihood is taken to have no interior maximum (|ρ| = 0.99999)


@dataclass(frozen=True)
class MaximumLikelihood:
    """The result of `maximum_likelihood`; arrays throughout when ρ was given as a vector.

    Attributes
    ----------
    alpha, rho, sigma_U : float or ndarray
        The effect (outcome, or the index of a binary outcome, per unit of treatment), the error correlation, the
        outcome's error sd (1 for a binary outcome).
    effect, effect_se : float or ndarray
        The effect that is read: α, or for a binary outcome the average difference that the treatment makes to its
        chance, in percentage points, everybody keeping her own error; with its standard error by the delta method.
    step : float
        Of a binary outcome's effect: by how much the continuous treatment is moved (`make_design`); 1 elsewhere.
    log_likelihood : float or ndarray
    estimates, standard_errors : pandas.Series or DataFrame
        Every parameter by name; ``beta`` entries, and a moderator's ``delta``, are per standard deviation of
        their covariate.
    """

    alpha: float
    rho: float
    sigma_U: float
    log_likelihood: float
    estimates: pd.DataFrame
    standard_errors: pd.DataFrame
    effect: float
    effect_se: float
    step: float = 1.0

    def summary(self):
        """A table: one row a parameter with its 95 % interval, or one row a ρ for a profile.

        Where the effect is not that of one unit of the treatment, the name of the columns says so.
        """
        more = None if self.step == 1 else f"effect: {self.step:g} more of the treatment"
        return self._table().rename_axis(columns=more)

    def _table(self):
        binary = "sigma_U" not in self.estimates
        if np.ndim(self.rho) == 0:
            estimate, se = self.estimates, self.standard_errors
            if binary:
                estimate = pd.concat([pd.Series({"effect": self.effect}), estimate])
                se = pd.concat([pd.Series({"effect": self.effect_se}), se])
            half = norm.ppf(0.975) * se
            return pd.DataFrame({"estimate": estimate, "se": se, "low": estimate - half, "high": estimate + half})
        read = (
            {"effect": self.effect, "se": self.effect_se, "alpha": self.alpha} if binary
            else {"alpha": self.alpha, "se": self.standard_errors["alpha"].to_numpy(), "sigma_U": self.sigma_U}
        )  # fmt: skip
        read |= {"log_likelihood": self.log_likelihood, "relative": self.log_likelihood - self.log_likelihood.max()}
        return pd.DataFrame(read, index=pd.Index(self.rho, name="rho"))


def ols(design, *, cluster=None):
    """Least squares of the outcome on treatment and covariates.

    Parameters
    ----------
    design : Design
    cluster : array-like, shape (n,), optional
        Which cluster (village, family, person) each row belongs to, in the rows' order. Standard errors then allow
        the errors of one cluster any correlation (Liang & Zeger 1986), with statsmodels' small-sample correction.

    Returns
    -------
    statsmodels.regression.linear_model.RegressionResults
        The effect is the coefficient named ``alpha``, a moderator's part of it ``delta[...]``; covariates are
        standardised, and a continuous treatment is measured from its mean. Where the design stands for rows that are
        not at hand, residuals and log-likelihood are those of the few rows it has; all else is as ever.
    """
    rows = Rows.of(check_design(design), compress=False)
    A = pd.DataFrame(rows.A, columns=rows.names_O)
    if cluster is None:
        return line(rows.y, A, design.n)
    codes = arguments.groups(cluster, check_rows(design).n)
    options = {"cov_type": "cluster", "cov_kwds": {"groups": codes}}
    return sm.OLS(rows.y, A).fit(method="qr", **options)


def line(response, A, n):
    """statsmodels' least squares of rows that stand for n, each for as many as any other."""
    if n == len(A):
        return sm.OLS(response, A).fit(method="qr")  # its digits do not depend on the columns' units
    model = sm.WLS(response, A, weights=n / len(A))
    model.nobs = float(n)  # each weight counts rows
    return model.fit(method="qr")


def maximum_likelihood(design, *, rho=None, cluster=None):
    """The classical endogenous-treatment estimate, without priors.

    Parameters
    ----------
    design : Design
    rho : float or sequence of float, optional
        Fixes the error correlation: a point of the profile likelihood, or several. Left out, ρ is
        estimated with everything else.
    cluster : array-like, shape (n,), optional
        As in `ols`: the estimates stay, the standard errors become H⁻¹(Σ sₖsₖ')H⁻¹ G/(G-1) (n-1)/(n-k), with sₖ the
        summed scores of one of the G clusters and k parameters.

    Returns
    -------
    MaximumLikelihood

    Raises
    ------
    ValueError
        When a given ρ lies outside (-1, 1). When ρ is to be estimated for a continuous treatment
        without an instrument: it is not identified, since the likelihood is flat in it. When a binary treatment is
        predicted without error in some rows, so that the estimate is infinite.
    RuntimeError
        When the likelihood still rises at \\|ρ| = 0.99999, or the search ends without a maximum.

    References
    ----------
    Heckman 1978; Maddala 1983 (binary treatment); Liang & Zeger 1986 (clusters). For a continuous
    treatment with one instrument the estimate is two-stage least squares.
    """
    rows, given = rows_of(check_design(design)), arguments.optional(arguments.correlations, rho, "rho")
    codes = None if cluster is None else arguments.groups(cluster, design.n)
    _check_finite(design)
    if rho is None:
        theta, a, H = _free(design, rows)
        spread = _clustered(design, np.r_[theta, a], None, covariance(H), codes)
        return _point(design, theta, a, derivatives(rows, theta, a)[0], spread)
    a, back = np.unique(np.arctanh(given), return_inverse=True)
    found = columns(rows, None, a)
    spread = [_clustered(design, *each, root @ root.T, codes) for *each, root in zip(found.mode, a, found.root)]
    points = [_point(design, found.mode[k], a[k], found.value[k], spread[k]) for k in back]
    return points[0] if np.ndim(rho) == 0 else _stack(points)


def _clustered(design, point, a, covariance, codes):
    """The covariance of an estimate whose rows come in clusters; `point` ends with a where `a` is None."""
    if codes is None:
        return covariance
    check_rows(design)
    theta, at = (point, a) if a is not None else (point[:-1], point[-1])
    each = scores(Rows.of(design, compress=False), theta, at)[:, : len(point)]
    sums = np.zeros((codes.max() + 1, len(point)))
    np.add.at(sums, codes, each)
    g, n, k = len(sums), design.n, len(point)
    return g / (g - 1) * (n - 1) / (n - k) * covariance @ (sums.T @ sums) @ covariance


def effect_at(design, rho, prior=None):
    """The effect at one ρ of the coefficients that fit best, or, with `Scales`, of the posterior's mode."""
    rows = rows_of(design)
    a = np.arctanh(rho)
    return float(average_effect(design, columns(rows, prior, [a]).mode[0], a))


def finite(design):
    """Whether each equation has a maximum likelihood estimate that is finite."""
    return not any(_settled(design).values())


def _settled(design):
    """By equation, what predicts its binary response without error in some rows."""
    if "separated" not in design.kept:  # a profile asks for many points of one design
        design.kept["separated"] = {equation: separation(design, equation) for equation in ("treatment", "outcome")}
    return design.kept["separated"]


def _check_finite(design):
    """Refuse an equation without finite estimate: priors are what it takes then."""
    for equation, guilty in _settled(design).items():
        if guilty:
            raise ValueError(
                f"a combination of {guilty} predicts the {equation} {getattr(design, equation)!r} without error for "
                f"some rows, so the {equation} equation's maximum likelihood estimate is infinite. Accepted are routes "
                "with priors: map_rho(design), make_report(design) or fit(joint_model(design))."
            )


def _free(design, rows):
    if design.kind == "continuous" and not design.instruments:
        raise ValueError(
            "rho is not identified: with a continuous treatment and the same covariates in both equations the "
            "likelihood is exactly flat in rho. Accepted are a fixed rho=, an instrument (a term of the treatment "
            "formula alone), or a prior over rho in joint_model."
        )
    profile = columns(rows, None, np.linspace(-2.5, 2.5, 21))
    best = int(np.argmax(profile.value))
    found = climb(rows, np.r_[profile.mode[best], profile.a[best]])
    if not found.arrived:
        a = found.point[-1]
        where = (f"the likelihood still rises at rho={np.tanh(a):.7f}, towards |rho| = 1" if abs(a) > EDGE
                 else f"no maximum of the likelihood was found: the search ended at rho={np.tanh(a):.4f}")  # fmt: skip
        raise RuntimeError(f"{where}; accepted are a fixed rho=, or a prior over rho in joint_model.")
    return found.point[:-1], found.point[-1], found.hessian


class Climb(NamedTuple):
    """Where a climb over (θ, a) ended, a last; the log-likelihood there, its Hessian, and whether it is a maximum."""

    point: np.ndarray
    value: float
    hessian: np.ndarray
    arrived: bool


def climb(rows, point, *, enough=np.inf, tolerance=1e-10):
    """Newton's method over θ and a together; stops early where the value exceeds `enough` or |a| exceeds EDGE."""
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
            found = derivatives(rows, new[:-1], new[-1])
            if found[0] >= value - 1e-11 * abs(value):
                break
        else:
            break
        point, (value, gradient, H) = new, found
    return Climb(point, value, H, False)


def _point(design, theta, a, value, covariance):
    """Names, natural scales and (by the delta method) standard errors of one maximum."""
    rows = rows_of(design)
    own = (*rows.moderators, "alpha")  # the treatment's own coefficients, last among the outcome's
    sigma_U, sigma_V = (["sigma_" + letter] * scaled for letter, scaled in zip("UV", rows.scaled))
    names = [*_names(rows.names_O[: -len(own)], "O"), *own, *sigma_U, *_names(rows.names_T, "T"), *sigma_V]
    estimate, slope = theta.copy(), np.ones(len(theta))
    for place, name in enumerate(names):
        if name.startswith("sigma"):
            estimate[place] = slope[place] = np.exp(theta[place])
    if len(covariance) > len(theta):
        names, estimate, slope = [*names, "rho"], np.r_[estimate, np.tanh(a)], np.r_[slope, 1 - np.tanh(a) ** 2]
    estimates = pd.Series(estimate, index=names)
    errors = pd.Series(slope * np.sqrt(np.diag(covariance)), index=names)
    return MaximumLikelihood(
        alpha=float(estimates["alpha"]), rho=float(np.tanh(a)), sigma_U=float(estimates.get("sigma_U", 1.0)),
        log_likelihood=float(value), estimates=estimates, standard_errors=errors,
        **_effect(design, theta, a, covariance), step=design.step,
    )  # fmt: skip


def _effect(design, theta, a, covariance):
    """The effect that is read and its standard error, by the delta method; a varies too where ρ was estimated."""
    slope = effect_slope(design, theta, a)[: len(covariance)]
    effect = float(average_effect(design, theta, a))
    return {"effect": effect, "effect_se": float(np.sqrt(slope @ covariance @ slope))}


def _names(names, equation):
    return [f"intercept_{equation}" if name == "intercept" else f"beta_{equation}[{name}]" for name in names]


def _stack(points):
    return MaximumLikelihood(
        *(np.array([getattr(p, name) for p in points]) for name in ("alpha", "rho", "sigma_U", "log_likelihood")),
        *(pd.DataFrame([getattr(p, name) for p in points]).reset_index(drop=True)
          for name in ("estimates", "standard_errors")),
        *(np.array([getattr(p, name) for p in points]) for name in ("effect", "effect_se")), points[0].step,
    )  # fmt: skip
