#!/usr/bin/env bash
# statsmodels 0.15.0: clustered errors of its two-stage least squares that count the treatment as it came, not as the
# instruments tell it. IV2SLS(...).fit() hands back results with get_robustcov_results, as every linear model does.
# Asked for "cluster" they give errors, and say nothing; but the middle of the sandwich is made of the raw regressors
# and the bread of the fitted ones. A raw treatment goes with the error (that is why there is an instrument), so its sums
# over a cluster do not hover about zero, and the error is too large by any factor, the more so the larger the clusters.
# ("HC0" to "HC3" of the same object end in an AttributeError.)
#
#   2,000 rows in 50 clusters that share nothing, one instrument, current 0.6: the clusters should not matter
#   seen, error of the effect:  usual                                    0.046
#                               clustered, statsmodels                   0.394
#                               clustered, sandwich of fitted regressors 0.051
#                               clustered, linearmodels                  0.051
#
# The factor is 7.7: a clear effect looks like none.
#
# Source: statsmodels/stats/sandwich_covariance.py (_get_sandwich_arrays takes model.wexog) of that version.
# Exits 0 while that is so, and 1 once it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3.12 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check \
    "statsmodels==0.15.0" "linearmodels==7.1" "pandas==2.3.3" "numpy==2.3.5" "scipy==1.18.1"
"$folder/env/bin/python" -W ignore - <<'PYTHON'
from importlib.metadata import version

import numpy as np
import pandas as pd
from linearmodels.iv import IV2SLS as theirs
from statsmodels.sandbox.regression.gmm import IV2SLS

n, rng = 2000, np.random.default_rng(0)
z, v, e = rng.normal(size=(3, n))
t = 0.5 * z + v
y = t + 0.6 * v + 0.8 * e
cluster, one = np.arange(n) % 50, np.ones(n)
X, Z = np.column_stack([one, t]), np.column_stack([one, z])

fit = IV2SLS(y, X, Z).fit()
fitted = Z @ np.linalg.lstsq(Z, X)[0]
sums = pd.DataFrame(fitted * (y - X @ fit.params)[:, None]).groupby(cluster).sum().to_numpy()
bread = np.linalg.inv(fitted.T @ fitted)
data = pd.DataFrame({"y": y, "one": one, "t": t, "z": z})
other = theirs(data.y, data[["one"]], data[["t"]], data[["z"]]).fit(cov_type="clustered", clusters=cluster)
seen = {
    "usual": fit.bse[1],
    "statsmodels": fit.get_robustcov_results("cluster", groups=cluster).bse[1],
    "sandwich": np.sqrt((bread @ sums.T @ sums @ bread)[1, 1]),
    "linearmodels": other.std_errors["t"],
}
seen = {name: round(float(error), 3) for name, error in seen.items()}
print("statsmodels", version("statsmodels"), "| linearmodels", version("linearmodels"), "| errors:", seen)
print("factor", round(seen["statsmodels"] / seen["sandwich"], 1))
assert seen == {"usual": 0.046, "statsmodels": 0.394, "sandwich": 0.051, "linearmodels": 0.051}
assert abs(other.params["t"] - fit.params[1]) < 1e-8
print("as described")
PYTHON
