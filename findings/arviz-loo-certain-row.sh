#!/usr/bin/env bash
# ArviZ 1.3.0 (arviz-stats 1.3.3): one row whose log-likelihood is the same in every draw makes az.loo fail for all rows.
#
# Such a row is certain under the model, whatever its parameters: a structural zero, a known censoring, a category of
# one. Its importance weights are equal, which is the best case there is, and its elpd is its log-likelihood.
#   seen in 1.3.0:   ValueError: All tail values are the same
#   seen in 0.22.0:  a number: the elpd of the other rows, plus the certain row's log-likelihood
# The same happens wherever a Pareto tail is fitted to equal numbers (psislw), and with fewer than 25 draws the message
# is "n_draws_tail must be at least 5".
#
# Source: arviz_stats/base/diagnostics.py (_ps_tail) of that version.
# Exits 0 while that is so, and 1 once it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/loo.py" <<'PYTHON'
import arviz as az
import numpy as np

rng = np.random.default_rng(0)
mu, y = rng.normal(0, 0.1, size=(4, 500)), rng.normal(size=30)
log_likelihood = -0.5 * (y - mu[..., None]) ** 2 - 0.5 * np.log(2 * np.pi)


def elpd(values):
    groups = {"posterior": {"mu": mu}, "log_likelihood": {"y": values}}
    idata = az.from_dict(groups) if az.__version__ >= "1" else az.from_dict(**groups)
    found = az.loo(idata)
    return float(getattr(found, "elpd", None) or found.elpd_loo)


certain = log_likelihood.copy()
certain[..., 3] = 0.0
others = elpd(np.delete(log_likelihood, 3, axis=-1))
try:
    told = elpd(certain)
except ValueError as error:
    told = str(error)
print("ArviZ", az.__version__, "| 29 rows:", round(others, 3), "| with a certain one:", told)
if az.__version__ == "1.3.0":
    assert told == "All tail values are the same"
else:
    assert az.__version__ == "0.22.0" and abs(told - others) < 1e-9
PYTHON
for versions in "arviz==0.22.0 numpy<2.4 xarray<2026" "arviz==1.3.0 arviz-stats==1.3.3 arviz-base==1.3.1"; do
    rm -rf "$folder/env"
    python3.12 -m venv "$folder/env"
    # shellcheck disable=SC2086
    "$folder/env/bin/pip" install --quiet --disable-pip-version-check $versions
    "$folder/env/bin/python" -W ignore "$folder/loo.py"
done
echo "as described"
