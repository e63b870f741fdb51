#!/usr/bin/env bash
# pathmc 0.4.0: model.sensitivity() says how strong a hidden cause would have to be to explain an effect away: "effect γ
# on the treatment and δ on the outcome; the confounding bias is γ × δ", for a cause of unit variance. The bias is not
# that: it is γ × δ divided by the variance of the treatment (given the covariates). The two agree only if that variance
# is one. So the printed tipping point moves with the treatment's unit, and the wrong way: in hours rather than minutes
# the cause's effect on the treatment is 60 times smaller, and the tipping point 60 times larger.
#
#   U of unit variance;  T = 5 U + noise of sd 10, in minutes;  Y = 2 U + noise;  T does nothing to Y.
#   U explains the whole estimate: it is the cause of exactly the tipping strength, γ × δ = 10 (0.167 in hours).
#   seen:  minutes   tipping point about 0.08   (U itself: 10)
#          hours     tipping point about 4.6    (U itself: 0.167)
#
# Its documentation calls γ × δ a first-order approximation; it is no approximation at all where T is not standardised.
#
# Source: pathmc/sensitivity.py (compute_sensitivity) of that version.
# Exits 0 while that is so, and 1 once it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3.12 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check \
    "pathmc==0.4.0" "pymc==6.4.0" "arviz==1.3.0" "numpy==2.5.5" "pandas==3.1.1"
"$folder/env/bin/python" -W ignore - <<'PYTHON'
import numpy as np
import pandas as pd
import pathmc

rng = np.random.default_rng(0)
gamma, delta, n = 5.0, 2.0, 2000
U = rng.normal(size=n)
minutes, Y = gamma * U + 10 * rng.normal(size=n), delta * U + rng.normal(size=n)
seen = {}
for unit, size in (("minutes", 1), ("hours", 60)):
    data = pd.DataFrame({"T": minutes / size, "Y": Y})
    model = pathmc.model("Y ~ T", data=data)
    model.fit(draws=300, tune=300, chains=1, cores=1, random_seed=1, progressbar=False)
    slope = np.cov(data["T"], data["Y"])[0, 1] / data["T"].var()
    told = model.sensitivity("Y", "T").tipping_point
    seen[unit] = {"told": round(told, 3), "slope": round(slope, 3), "U": round(gamma / size * delta, 3)}
print("pathmc", pathmc.__version__, seen)
assert pathmc.__version__ == "0.4.0"
for each in seen.values():
    assert abs(each["told"] / each["slope"] - 1) < 0.1
assert seen["minutes"]["U"] / seen["minutes"]["told"] > 50 and seen["hours"]["told"] / seen["hours"]["U"] > 20
print("as described")
PYTHON
