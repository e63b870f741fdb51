#!/usr/bin/env bash
# PySensemakr 0.0.8: a partial R² and a robustness value that change with the kind of standard error. Its functions ask
# for a fitted statsmodels OLS, and say of the partial R² that it is the share of the residual variance that a
# regressor explains. They compute it as t²/(t² + degrees of freedom) from whatever t statistic the fit carries. That
# identity holds for classical errors alone: after fit(cov_type="cluster") or "HC3" the number is no share of anything,
# though neither the data nor the coefficients have changed. Nothing is said.
#
#   400 rows in 20 clusters, y ~ t + x; the share of what x leaves of y that t explains, from two sums of squares: 0.144
#   seen:  classical fit     partial R² 0.144   robustness value 0.335
#          HC3               partial R² 0.134   robustness value 0.323
#          clustered         partial R² 0.026   robustness value 0.152
#
# So the clustered fit tells of a confounder of 15 % where it takes one of 33 % to bring the estimate to zero (the
# value that takes sampling into account, rv_qa, is another matter, and may well depend on the errors).
#
# Source: sensemakr/sensitivity_statistics.py (model_helper, partial_r2) of that version.
# Exits 0 while that is so, and 1 once it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3.12 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check \
    "PySensemakr==0.0.8" "statsmodels==0.15.0" "pandas==2.3.3" "numpy==2.3.5" "scipy==1.18.1"
MPLBACKEND=agg "$folder/env/bin/python" -W ignore - <<'PYTHON'
from importlib.metadata import version

import numpy as np
import pandas as pd
import sensemakr
import statsmodels.formula.api as smf

rng = np.random.default_rng(0)
cluster = np.repeat(np.arange(20), 20)
shock, t = rng.normal(size=20)[cluster], rng.normal(size=20)[cluster] + 0.5 * rng.normal(size=400)
data = pd.DataFrame({"t": t, "x": rng.normal(size=400)})
data["y"] = 0.5 * data.t + 0.3 * data.x + shock + rng.normal(size=400)
model = smf.ols("y ~ t + x", data)
share = 1 - model.fit().ssr / smf.ols("y ~ x", data).fit().ssr
fits = {
    "classical": model.fit(),
    "HC3": model.fit(cov_type="HC3"),
    "clustered": model.fit(cov_type="cluster", cov_kwds={"groups": cluster}),
}
seen = {}
for kind, fit in fits.items():
    stats = sensemakr.Sensemakr(fit, "t").sensitivity_stats
    seen[kind] = tuple(round(float(stats[name]), 3) for name in ("estimate", "r2yd_x", "rv_q"))
print("PySensemakr", version("PySensemakr"), "| share:", round(share, 3), "| estimate, partial R², robustness:", seen)
assert len({estimate for estimate, _, _ in seen.values()}) == 1
assert seen["classical"][1] == round(share, 3) == 0.144
assert seen["clustered"][1:] == (0.026, 0.152) and seen["classical"][2] == 0.335 and seen["HC3"][1:] == (0.134, 0.323)
print("as described")
PYTHON
