#!/usr/bin/env bash
# PyMC 6.4.0: a Deterministic that is a plain copy of a random variable can be held by a first pm.do, but after any
# other pm.do or pm.observe a second pm.do that holds it changes nothing, without an error or a warning.
#
#   T ~ Normal;  held = Deterministic("held", T);  Y ~ Normal(held, 0.001);  hold held = 7
#   seen:  in one pm.do            Y = 7
#          after another pm.do     Y is about T, whatever held is set to
#          with 1 * T for T        Y = 7 both times
#
# Source: pymc/model/transform/conditioning.py (do) and pymc/model/fgraph.py (model_from_fgraph) of that version. The
# copy leaves the graph of Y when the first transformed model is put together again, and only its name stays.
# Exits 0 while that is so, and 1 once it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3.12 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "pymc==6.4.0"
"$folder/env/bin/python" -W ignore - <<'PYTHON'
import numpy as np
import pymc as pm


def model(copy):
    with pm.Model() as made:
        a, T = pm.Normal("a"), pm.Normal("T", shape=5)
        held = pm.Deterministic("held", copy(T))
        pm.Normal("Y", held + 0 * a, 0.001)
    return made


def mean_of_Y(made):
    return pm.draw(pm.do(made, {"held": np.full(5, 7.0)})["Y"], random_seed=1).mean()


seen = {
    (name, when): round(float(mean_of_Y(first(model(copy)))), 1)
    for name, copy in (("T", lambda T: T), ("1 * T", lambda T: 1 * T))
    for when, first in (("at once", lambda m: m), ("after a do", lambda m: pm.do(m, {"a": 0.0})))
}
print("PyMC", pm.__version__, seen)
assert pm.__version__ == "6.4.0"
assert seen["T", "at once"] == seen["1 * T", "at once"] == seen["1 * T", "after a do"] == 7.0
assert abs(seen["T", "after a do"]) < 4.0
print("as described")
PYTHON
