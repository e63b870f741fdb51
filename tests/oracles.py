"""Independent answers, written from the equations and sharing no code with the helpers."""

from itertools import pairwise

import arviz as az
import numpy as np
import statsmodels.api as sm
import statsmodels.formula.api as smf
from scipy.integrate import quad, trapezoid
from scipy.stats import halfnorm, multivariate_normal, norm


def log_joint_by_integration(r, eta, rho, t):
    """log ∫ φ(v) p(r | v) dv over the v that make T = t, where U/σ_U = r and U | V ~ Normal(ρV, √(1-ρ²))."""
    q = 2 * t - 1
    spread = np.sqrt(1 - rho**2)
    # in w = qv the region is w > -qη; the integrand's peak, and how fast it falls off there
    edge, centre = -q * eta, q * rho * r
    peak = max(edge, centre)
    scale = spread / max(1.0, (peak - centre) / spread)

    def log_f(w):
        return norm.logpdf(w) + norm.logpdf(r, q * rho * w, spread)

    cuts = [max(edge, peak + k * scale) for k in (-40, -8, -2, 0, 2, 8, 40)]
    parts = [quad(lambda w: np.exp(log_f(w) - log_f(peak)), a, b, epsabs=0, epsrel=1e-11)[0]
             for a, b in pairwise(cuts) if b > a]  # fmt: skip
    return log_f(peak) + np.log(sum(parts))


def log_joint_normal(Y, T, mean_O, mean_T, alpha, rho, sigma_U, sigma_V):
    """Sum of the bivariate normal log densities of (Y, T), by SciPy, with the covariance written out."""
    shared = rho * sigma_U * sigma_V
    var_T, cov = sigma_V**2, alpha * sigma_V**2 + shared
    var_Y = alpha**2 * sigma_V**2 + 2 * alpha * shared + sigma_U**2
    residual = np.column_stack([Y - mean_O - alpha * mean_T, T - mean_T])
    return multivariate_normal(cov=[[var_Y, cov], [cov, var_T]]).logpdf(residual).sum()


def drift(truth, treatment):
    """What OLS adds to alpha in a tank of `simulate_aquarium`, in closed form."""
    rho, sigma_U, sigma_V = float(truth.rho), float(truth.sigma_U), float(truth.sigma_V)
    if treatment == "continuous":
        return rho * sigma_U / sigma_V
    # the index is Normal(a, s), so E φ(η) and E Φ(η) are known; Cov(T, X_j) = β_j E φ(η) by Stein's lemma
    a, s2 = float(truth.intercept_T), float((truth.beta_T**2).sum())
    density = norm.pdf(a, scale=np.sqrt(1 + s2))
    share = norm.cdf(a / np.sqrt(1 + s2))
    return rho * sigma_U * density / (share * (1 - share) - s2 * density**2)


def separately(data, outcome, treatment, kind):
    """statsmodels on the raw columns: the two equations, each alone."""
    other = smf.ols(treatment, data) if kind == "continuous" else smf.probit(treatment, data)
    return smf.ols(outcome, data).fit(), other.fit(**({} if kind == "continuous" else {"disp": 0}))


def residual_sd(y, *columns):
    """Standard deviation of what least squares leaves of y."""
    return np.sqrt(np.mean(sm.OLS(y, sm.add_constant(np.column_stack(columns))).fit().resid ** 2))


def bayesian_regression(y, A, mean, sd, scale):
    """Exact mean and sd of every coefficient, and the log evidence, of y ~ Normal(Aβ, σ).

    β ~ Normal(mean, sd) and σ ~ HalfNormal(scale). Given σ everything is conjugate; σ is summed over a fine grid.
    """
    gram, moment, square = A.T @ A, A.T @ (y - A @ mean), np.sum((y - A @ mean) ** 2)
    log_sigma = np.linspace(-1, 1, 2001) + np.log(residual_sd(y, A))
    log_weight, centres, variances = [], [], []
    for sigma in np.exp(log_sigma):
        precision = np.diag(1 / sd**2) + gram / sigma**2
        shift = np.linalg.solve(precision, moment / sigma**2)
        log_marginal = (
            -0.5 * (square / sigma**2 - moment @ shift / sigma**2)
            - np.log(sd).sum()
            - 0.5 * np.linalg.slogdet(precision)[1]
            - len(y) * (np.log(sigma) + 0.5 * np.log(2 * np.pi))
        )
        log_weight.append(log_marginal + halfnorm.logpdf(sigma, scale=scale) + np.log(sigma))
        centres.append(mean + shift)
        variances.append(np.diag(np.linalg.inv(precision)))
    top = max(log_weight)
    weight = np.exp(np.array(log_weight) - top)
    evidence = top + np.log(trapezoid(weight, log_sigma))
    weight /= weight.sum()
    centre = weight @ np.array(centres)
    spread = np.sqrt(weight @ (np.array(variances) + (np.array(centres) - centre) ** 2))
    return centre, spread, evidence


def as_fit(reading):
    """A reading of a map in the shape of a fit, thinned to the draws that its columns really hold."""
    size = 4 * int(min(reading.sizes["draw"], reading.attrs["ess"]) // 4)
    thin = reading.isel(draw=slice(size))
    return az.from_dict({"posterior": {name: thin[name].values.reshape(4, -1) for name in ("alpha", "rho")}})


def distance(one, other, names=("alpha", "rho", "sigma_U")):
    """The largest gap between two posteriors, in Monte Carlo standard errors: means, sds and two quantiles."""
    gaps = []
    for options in FIGURES:
        (a, noise_a), (b, noise_b) = (_figure(idata, list(names), **options) for idata in (one, other))
        gaps += [float(np.max(abs(a[name] - b[name]) / np.hypot(noise_a[name], noise_b[name]))) for name in names]
    return max(gaps)


FIGURES = (
    {"method": "mean"},
    {"method": "sd"},
    {"method": "quantile", "prob": 0.1},
    {"method": "quantile", "prob": 0.9},
)


def _figure(idata, names, method, prob=None):
    """One summary of the named variables, and its Monte Carlo standard error."""
    draws = idata["posterior"].to_dataset()[names]
    noise = az.mcse(draws, method=method, **({"prob": prob} if prob else {}))
    over = draws.stack(sample=("chain", "draw"))
    value = over.quantile(prob, "sample") if prob else {"mean": over.mean, "sd": over.std}[method]("sample")
    return value, noise
