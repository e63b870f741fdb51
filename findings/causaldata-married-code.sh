#!/usr/bin/env bash
# causaldata 0.1.5: in close_college, the data of Card's instrument (nearness to a college, schooling, wages), `married`
# is described as "Is married", as its neighbours "Race: Black" and "In the southern United States" are. These are 0/1.
# `married` is not: it holds the codes 1 to 6 of the survey, in which 1 is married with the spouse at home, and 6 never
# married. Taken as described, it runs backwards, and a regression has a married man at 1 and a bachelor at 6.
#
#   lwage ~ educ + exper + black + south + married + smsa, educ by nearc4
#   seen:  1 in 2,144 rows, 2 to 6 in 859, missing in 7
#          as it stands      coefficient of "is married" -0.032, as if marriage cost 3 % of the wage
#          as married == 1   +0.136; the return to schooling is 0.124 both times
#
# Source: causaldata/close_college/data.py (NOTE) and close_college.dta of that version.
# Exits 0 while that is so, and 1 once it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3.12 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check \
    "causaldata==0.1.5" "statsmodels==0.15.0" "linearmodels==7.1" "pandas==3.1.1" "numpy==2.5.5"
"$folder/env/bin/python" -W ignore - <<'PYTHON'
from importlib.metadata import version

from causaldata import close_college
from linearmodels import IV2SLS

data = close_college.load_pandas().data
counts = data["married"].value_counts().sort_index()
whole = data.dropna()


def fitted(married):
    formula = "lwage ~ 1 + exper + black + south + wed + smsa + [educ ~ nearc4]"
    fit = IV2SLS.from_formula(formula, whole.assign(wed=married)).fit().params
    return round(float(fit["wed"]), 3), round(float(fit["educ"]), 3)


seen = fitted(whole["married"]), fitted((whole["married"] == 1).astype(float))
print("causaldata", version("causaldata"), "|", counts.to_dict(), data["married"].isna().sum(), "| married, educ:", seen)
assert version("causaldata") == "0.1.5" and "married - Is married" in close_college.NOTE
assert list(counts.index) == [1, 2, 3, 4, 5, 6] and counts[1] == 2144 and data["married"].isna().sum() == 7
assert seen == ((-0.032, 0.124), (0.136, 0.124))
print("as described")
PYTHON
