"""Independent answers, written from the equations and sharing no code with the helpers."""

from itertools import pairwise, product

import arviz as az
import numpy as np
import statsmodels.api as sm
import statsmodels.formula.api as smf
from scipy.integrate import quad, trapezoid
from scipy.linalg import block_diag
from scipy.optimize import minimize
from scipy.special import betaln, logsumexp
from scipy.stats import halfnorm, multivariate_normal, norm

# log Φ₂(h, k; r) by mpmath at 40 digits, ∫ φ(x) Φ((k - rx)/√(1-r²)) dx
FORTY_DIGITS = [
    (-10, -10, -0.99, -10013.69502007566574), (-10, -10, 0.99, -53.977614033144727097),
    (-10, -6, -0.99, -6415.2588661253102525), (-10, -6, 0.6, -53.867677965462847565),
    (-10, 0, -0.1, -55.095040595855965791), (-10, 10, -0.99, -53.873936674960972029),
    (-10, 10, 0.99, -53.231285150512470578), (-6, -0.3, -0.9, -111.42041077771063158),
    (-6, 6, -0.5, -20.737163679889979472), (-3, -1, 0.2, -7.6205990526478903867),
    (-3, 3, 0.99, -6.6077262215103495433), (-1, 1, -0.99, -4.2938898251005495756),
    (-0.3, 0.3, -0.99, -3.8381289776591520833), (0, 0, -0.99, -3.7930537037877368389),
    (0, 6, 0.99, -0.69314718055994530942), (3, 3, -0.99, -0.0027034470854759631542),
    (6, 10, 0.95, -9.8658764552437573169e-10), (10, 10, -0.99, -1.5239706048321052129e-23),
    (2.24, -6.75, 0.98, -25.630587909629852907), (-0.85, 7.59, 0.969, -1.6211940299694810301),
    (1.94, -2.51, 0.75, -5.1099212848221034894), (-5.02, 5.94, -0.517, -15.169004778778936127),
    (8.97, -3.79, 0.984, -9.4937164966259897101), (1.91, -5.14, 0.978, -15.800593395200997357),
    (7.54, -0.39, -0.733, -1.0547821954404246462), (-7.84, 4.97, 0.918, -33.726632625585166583),
    (8.31, -4.23, -0.975, -11.357241766988039324), (4.42, -0.45, 0.195, -1.1197701303795606142),
    (-5.23, 7.31, 0.972, -16.283500861090951339), (4.54, -0.85, -0.826, -1.6212082599355530092),
    (3.1, 5.14, 0.836, -0.00096807278729866879036), (-6.22, 4.6, 0.978, -22.115266685879800293),
    (1, -1.02, -0.999, -6.0753776566682341484), (-39, -38, 0.99999, -765.0831565643775444),
    (-40, 40, -0.99999, -807.24909800256726768), (25, -24.9, -0.9999, -314.2261531451322306),
]  # fmt: skip


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

    β ~ Normal(mean, sd), or jointly normal where `sd` is a covariance, and σ ~ HalfNormal(scale). Given σ everything is
    conjugate; σ is summed over a fine grid.
    """
    prior = np.diag(sd**2) if np.ndim(sd) == 1 else sd
    inverse, volume = np.linalg.inv(prior), np.linalg.slogdet(prior)[1]
    gram, moment, square = A.T @ A, A.T @ (y - A @ mean), np.sum((y - A @ mean) ** 2)
    log_sigma = np.linspace(-1, 1, 2001) + np.log(residual_sd(y, A))
    log_weight, centres, variances = [], [], []
    for sigma in np.exp(log_sigma):
        precision = inverse + gram / sigma**2
        covariance = np.linalg.inv(precision)
        shift = covariance @ moment / sigma**2
        log_marginal = (
            -0.5 * (square / sigma**2 - moment @ shift / sigma**2)
            - 0.5 * volume
            - 0.5 * np.linalg.slogdet(precision)[1]
            - len(y) * (np.log(sigma) + 0.5 * np.log(2 * np.pi))
        )
        log_weight.append(log_marginal)
        centres.append(mean + shift)
        variances.append(np.diag(covariance))
    log_weight = np.array(log_weight) + halfnorm.logpdf(np.exp(log_sigma), scale=scale) + log_sigma
    top = log_weight.max()
    weight = np.exp(log_weight - top)
    evidence = top + np.log(trapezoid(weight, log_sigma))
    weight /= weight.sum()
    centre = weight @ np.array(centres)
    spread = np.sqrt(weight @ (np.array(variances) + (np.array(centres) - centre) ** 2))
    return centre, spread, evidence


def told_by_each_row(M, response):
    """What each yes or no says of its index, φ²/(Φ(1-Φ)), at the index that a probit of it on M finds.

    The probit has a prior worth a quarter of what a row says at the average share: of the mean square of its index.
    """
    q, share = 2 * response - 1, response.mean()
    quarter = norm.pdf(norm.ppf(share)) ** 2 / (share * (1 - share)) / 4
    unit = np.sqrt(np.mean(M**2, axis=0))

    def loss(beta):
        index = M @ (beta / unit)
        value = quarter * np.mean(index**2) / 2 - norm.logcdf(q * index).sum()
        slope = quarter * index / len(M) - q * np.exp(norm.logpdf(index) - norm.logcdf(q * index))
        return value, M.T @ slope / unit

    index = M @ (minimize(loss, np.zeros(M.shape[1]), jac=True, method="BFGS", options={"gtol": 1e-6}).x / unit)
    return norm.pdf(index) ** 2 / (norm.cdf(index) * norm.sf(index))


def worth_a_row(A, response, kind="continuous", alpha=None):
    """Covariance of an intercept and the coefficients of A under the unit information prior, written out.

    The coefficients have n (A'WA)⁻¹, A less its means, W what each row says of its index: 1/sd² of a continuous
    response. The line at the average row is independent of them; its sd is 2.5 of the response's, or what a row says
    on average. Where `alpha` is given the last coefficient has that sd, and the others keep what they are given it.
    """
    n = len(response)
    if kind == "binary":
        w = told_by_each_row(np.column_stack([np.ones(n), A]), response)
        wide = 1 / np.sqrt(w.mean())
    else:
        w, wide = np.full(n, 1 / response.var()), 2.5 * response.std()
    average = w @ A / w.sum()
    apart = A - average
    slopes = n * np.linalg.inv(apart.T @ (w[:, None] * apart))
    if alpha:
        given = slopes[:, -1] / slopes[-1, -1]
        slopes = slopes + np.outer(given, given) * (alpha**2 - slopes[-1, -1])
    J = np.block([[np.ones((1, 1)), -average[None]], [np.zeros((len(slopes), 1)), np.eye(len(slopes))]])
    both = np.block([[np.full((1, 1), wide**2), np.zeros((1, len(slopes)))], [np.zeros((len(slopes), 1)), slopes]])
    return J @ both @ J.T


def outcome_alone(design, *, beta=None, alpha=None, sigma=None):
    """Exact mean and sd of α at ρ = 0, and the log evidence, of a continuous outcome with an intercept.

    The priors are written out from the book's text: worth one row. Where `beta` is given all coefficients are
    independent, β ~ Normal(0, beta) for one sd of its covariate; α ~ Normal(0, alpha) and σ_U ~ HalfNormal(sigma).
    """
    y, t, X = design.y, design.t, design.C[:, design.in_outcome]
    sigma = sigma or y.std()
    A = np.column_stack([np.ones(design.n), X, t - (t.mean() if design.kind == "continuous" else 0)])
    widths = worth_a_row(A[:, 1:], y, alpha=alpha)
    if beta:
        widths = np.array([2.5 * y.std(), *[beta] * X.shape[1], alpha or y.std() / residual_sd(t, X)])
    mean, sd, evidence = bayesian_regression(y, A, np.r_[y.mean(), np.zeros(X.shape[1] + 1)], widths, sigma)
    return mean[-1], sd[-1], evidence


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


def distance_to_stored(table, idata, names, table_of):
    """The same from a posterior whose figures are stored; `table_of` makes a table of them as the script does."""
    ours, theirs = table_of(idata), table.set_index("number")
    ours = ours[[number.split()[0] in names for number in ours.index]]
    theirs = theirs.loc[ours.index]
    assert {number.split()[0] for number in ours.index} == set(names)
    gaps = [abs(ours[f] - theirs[f]) / np.hypot(ours[f"{f}_noise"], theirs[f"{f}_noise"]) for f in STORED]
    return float(np.max(gaps))


STORED = "mean", "sd", "low", "high"
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


def sieve_by_enumeration(data, covariates, *, alpha_sd, rho_sd, sigma, slab, intercepts):
    """Exact posterior of a continuous tank under the sieve: all 2^2p models, ρ, σ_U and σ_V by quadrature.

    Given (ρ, σ_U, σ_V) the model is linear and Gaussian in θ = (θ_O, θ_T): with κ = ρσ_U/σ_V and e = σ_U√(1-ρ²) the
    rows (T - Zθ_T)/σ_V and (Y - Aθ_O - κ(T - Zθ_T))/e are standard normal.

    Returns inclusion probabilities of the outcome's and the treatment's coefficients, and the means of α and ρ.
    """
    y, t = data["Y"].to_numpy(), data["T"].to_numpy()
    X = data[list(covariates)].to_numpy()
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    one, p, n = np.ones((len(y), 1)), X.shape[1], len(y)
    A, Z = np.hstack([one, X, t[:, None]]), np.hstack([one, X])
    a = np.linspace(-2.0, 2.0, 121)
    residual = residual_sd(y, t, X), residual_sd(t, X)
    node, weight = np.polynomial.hermite_e.hermegauss(7)
    grid = np.array([(r, i, j) for r in a for i in node for j in node])
    rho = np.tanh(grid[:, 0])
    # the second is σ_e, which the data know at every ρ
    sigma_e = residual[0] * np.exp(grid[:, 1] / np.sqrt(2 * n))
    sigma_V = residual[1] * np.exp(grid[:, 2] / np.sqrt(2 * n))
    sigma_U = sigma_e / np.sqrt(1 - rho**2)
    outer = np.log(np.outer(weight, weight).ravel() / np.exp(-0.5 * (node[:, None] ** 2 + node**2)).ravel())
    log_w = np.tile(outer, len(a)) + norm.logpdf(grid[:, 0], 0, rho_sd)
    log_w += halfnorm.logpdf(sigma_U, scale=sigma[0]) + np.log(sigma_U)
    log_w += halfnorm.logpdf(sigma_V, scale=sigma[1]) + np.log(sigma_V)
    log_w -= n * (np.log(sigma_e) + np.log(sigma_V))
    kappa = rho * sigma_U / sigma_V
    W = np.hstack([A, Z])
    S = np.column_stack([W, t, y]).T @ np.column_stack([W, t, y])
    m, k = W.shape[1], A.shape[1]
    L = np.zeros((len(grid), 2, m + 2))  # rows: residuals in terms of (W, t, y); θ enters column by column
    L[:, 0, m], L[:, 1, m], L[:, 1, m + 1] = 1 / sigma_V, -kappa / sigma_e, 1 / sigma_e
    coefficient = np.zeros((len(grid), 2, m))
    coefficient[:, 0, k:] = 1 / sigma_V[:, None]
    coefficient[:, 1, :k], coefficient[:, 1, k:] = 1 / sigma_e[:, None], -(kappa / sigma_e)[:, None]
    G = np.einsum("gai,gaj->gij", coefficient, coefficient) * S[:m, :m]
    h = np.einsum("gai,gab->gib", coefficient, L[:, :, m:]) * S[None, :m, m:]
    h = h.sum(axis=2)
    constant = np.einsum("gai,gaj,ij->g", L[:, :, m:], L[:, :, m:], S[m:, m:])
    prior_mean, prior_sd = np.zeros(m), np.ones(m)
    (prior_mean[0], prior_sd[0]), (prior_mean[k], prior_sd[k]) = intercepts
    prior_sd[k - 1] = alpha_sd
    prior_sd[1 : 1 + p], prior_sd[k + 1 :] = slab
    shares, totals, alphas = [], [], []
    for bits in product([False, True], repeat=2 * p):
        inside = np.array([True, *bits[:p], True, True, *bits[p:]])
        count = sum(bits[:p]), sum(bits[p:])
        log_model = sum(betaln(1 + c, 1 + p - c) for c in count)
        mean, sd = prior_mean[inside], prior_sd[inside]
        P = G[:, inside][:, :, inside] + np.diag(sd**-2.0)
        b = h[:, inside] + mean / sd**2
        centre = np.linalg.solve(P, b[..., None])[..., 0]
        log_z = log_w + log_model - np.log(sd).sum() - 0.5 * np.linalg.slogdet(P)[1]
        log_z += 0.5 * np.einsum("gi,gi->g", b, centre) - 0.5 * constant - 0.5 * (mean**2 / sd**2).sum()
        totals.append(logsumexp(log_z))
        weight_g = np.exp(log_z - totals[-1])
        alphas.append(weight_g @ centre[:, inside[:k].sum() - 1])
        shares.append((bits, weight_g @ rho))
    probability = np.exp(np.array(totals) - logsumexp(totals))
    bits = np.array([b for b, _ in shares], dtype=float)
    return (
        (probability @ bits)[:p],
        (probability @ bits)[p:],
        probability @ alphas,
        probability @ [r for _, r in shares],
    )


def ridge_by_quadrature(y, t, x, rho_sd):
    """Mean and sd of α and of atanh ρ for Y and T continuous and one covariate in both equations, by quadrature.

    The priors are written out from the book's text: coefficients worth one row, intercepts ~ Normal(mean, 2.5 sd) at
    the average row, σ ~ HalfNormal(sd), atanh ρ ~ Normal(0, rho_sd). Given ρ and the two σ all coefficients
    are jointly normal: with κ = ρ σ_U/σ_V, the rows y - κt = (intercept_O + xβ_O + α(t - t̄)) - κ(intercept_T +
    xβ_T) + noise, and the rows t. The other three are summed over a grid.
    """
    x = (x - x.mean()) / x.std()
    one = np.ones_like(y)
    outcome, treatment = np.column_stack([one, x, t - t.mean()]), np.column_stack([one, x])
    mean = np.array([y.mean(), 0, 0, t.mean(), 0])
    widths = (worth_a_row(M[:, 1:], r) for M, r in ((outcome, y), (treatment, t)))
    prior = np.linalg.inv(block_diag(*widths))
    log_weight, centre, variance, at, scales = [], [], [], [], []
    errors = residual_sd(y, t, x), residual_sd(t, x)
    logs = np.linspace(-0.6, 0.6, 13)  # steps of one sd of what the forty rows know: exact to five digits
    for a in np.linspace(-4 * rho_sd, 4 * rho_sd, 41):
        rho = np.tanh(a)
        for log_u, log_v in product(np.log(errors[0] / np.sqrt(1 - rho**2)) + logs, np.log(errors[1]) + logs):
            s_u, s_v = np.exp([log_u, log_v])
            kappa, noise = rho * s_u / s_v, s_u * np.sqrt(1 - rho**2)
            M = np.block([[outcome / noise, -kappa * treatment / noise], [np.zeros_like(outcome), treatment / s_v]])
            r = np.concatenate([(y - kappa * t) / noise, t / s_v]) - M @ mean
            precision = M.T @ M + prior
            covariance = np.linalg.inv(precision)
            shift = covariance @ (M.T @ r)
            log_weight.append(
                -0.5 * (r @ r - shift @ precision @ shift) - 0.5 * np.linalg.slogdet(precision)[1]
                - len(y) * np.log(noise * s_v) + log_u + log_v
            )  # fmt: skip
            scales.append((s_u, s_v))
            centre.append(mean[2] + shift[2])
            variance.append(covariance[2, 2])
            at.append(a)
    at, (s_u, s_v) = np.array(at), np.transpose(scales)
    log_weight = log_weight + norm.logpdf(at, 0, rho_sd)
    log_weight += halfnorm.logpdf(s_u, scale=y.std()) + halfnorm.logpdf(s_v, scale=t.std())
    weight = np.exp(log_weight - logsumexp(log_weight))
    return [_moments(weight, np.array(centre), np.array(variance)), _moments(weight, at, 0.0)]


def _moments(weight, centre, variance):
    """Mean and sd of a mixture."""
    mean = weight @ centre
    return mean, np.sqrt(weight @ (variance + (centre - mean) ** 2))


def means_and_sds(chart):
    """Of the effect at each ρ, from its weighted draws: (5, 2)."""
    weight = np.exp(chart.log_weight)
    mean = (weight * chart.effect).sum("draw")
    return np.column_stack([mean, (weight * (chart.effect - mean) ** 2).sum("draw") ** 0.5])
