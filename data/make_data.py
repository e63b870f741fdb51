"""Make the book's CSV files again, from the PyPI package causaldata and a simulation, and list their checksums.

Usage::

    python data/make_data.py [folder]
"""

import hashlib
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from causaldata import cps_mixtape, nhefs, nhefs_complete, nsw_mixtape

NHEFS = [
    "seqn", "qsmk", "sex", "race", "age", "education", "income", "marital", "ht", "wt71", "wt82", "wt82_71",
    "smokeintensity", "smkintensity82_71", "smokeyrs", "exercise", "active", "price71", "price82", "tax71", "tax82",
    "death",
]  # fmt: skip
WHEN = ["yrdth", "modth"]
FED_MORE = {"mill": 1.5, "quarry": 0.0, "weir": -1.0}  # grams a day
GREW_MORE = {"mill": -4.0, "quarry": 0.0, "weir": 5.0}  # grams
LALONDE = ["treat", "age", "educ", "black", "hisp", "marr", "nodegree", "re74", "re75", "re78"]


def tables():
    """Every stored file by name."""
    weighed, everyone = (source.load_pandas().data.apply(pd.to_numeric) for source in (nhefs_complete, nhefs))
    trial, survey = (source.load_pandas().data[LALONDE] for source in (nsw_mixtape, cps_mixtape))
    return {
        "nhefs.csv": weighed[NHEFS],
        "nhefs_everyone.csv": everyone[NHEFS + WHEN],
        "lalonde_experimental.csv": trial,
        "lalonde_cps.csv": pd.concat([trial[trial.treat == 1], survey]),
        "ponds.csv": ponds(),
    }


def ponds(n=420, *, alpha=2.0, rho=0.4, seed=1):
    """A simulated fish farm; README.md tells its truth. What nobody measured (rho) moves both feed and gain."""
    rng = np.random.default_rng(seed)
    site = rng.choice(["mill", "quarry", "weir"], n)
    start, temperature, distance = rng.normal(120, 25, n), rng.normal(22, 2, n), rng.uniform(1, 40, n)
    V = rng.normal(0, 3, n)
    U = 12 * (rho * V / 3 + np.sqrt(1 - rho**2) * rng.normal(size=n))
    bonus_T, bonus_O = (pd.Series(site).map(each).to_numpy() for each in (FED_MORE, GREW_MORE))
    feed = 24 + 0.05 * (start - 120) + 0.6 * (temperature - 22) - 0.12 * (distance - 20) + bonus_T + V
    gain = 20 + alpha * feed + 0.2 * (start - 120) + 2 * (temperature - 22) + bonus_O + U
    table = pd.DataFrame({"site": site, "start_g": start.round(1), "temp_c": temperature.round(1),
                          "delivery_km": distance.round(1), "feed_g": feed.round(2),
                          "gain_g": gain.round(1)})  # fmt: skip
    for name, lost in (("start_g", 9), ("temp_c", 14)):
        table.loc[rng.choice(n, lost, replace=False), name] = np.nan
    return table


def write(folder):
    """Write the tables and SHA256SUMS; the bytes depend on the tables alone."""
    sums = []
    for name, table in tables().items():
        text = _whole_numbers(table).to_csv(index=False, lineterminator="\n", float_format="%.10g")
        (folder / name).write_bytes(text.encode())
        sums.append(f"{hashlib.sha256(text.encode()).hexdigest()}  {name}\n")
    (folder / "SHA256SUMS").write_bytes("".join(sums).encode())


def _whole_numbers(table):
    """Columns of whole numbers written as such."""
    whole = [name for name in table.select_dtypes("number") if (table[name].dropna() % 1 == 0).all()]
    return table.astype(dict.fromkeys(whole, "Int64"))


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
