"""The ponds' file and formulas, the command line on it, sixty fish, a tank with an instrument, a map with scars.

And what is said of worlds with their groups and without.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from click.testing import CliRunner

from helpers import make_design
from which_world.__main__ import main
from which_world.report.contents import _tipping
from which_world.report.identifiers import groups_of, identifiers

ROOT = Path(__file__).parent.parent
PONDS = ROOT / "data" / "ponds.csv"
OUTCOME = "gain_g ~ feed_g + start_g + temp_c + C(site)"
TREATMENT = "feed_g ~ start_g + temp_c + C(site)"
RNG = np.random.default_rng(3)
FISH = pd.DataFrame(RNG.normal(size=(60, 3)), columns=["y", "x", "z"]).assign(
    t=lambda d: (d.x + RNG.normal(size=60) > 0).astype(int), dose=lambda d: d.x + RNG.normal(size=60)
)
EVEN = {"outcome": "y ~ t + x + x2 + x3", "treatment": "t ~ x + x2 + x3"}


def command(folder, *options, csv=PONDS, outcome=OUTCOME, treatment=TREATMENT):
    return [sys.executable, "-m", "helpers", str(csv), "--outcome", outcome, "--treatment", treatment,
            "--out", str(folder), *options]  # fmt: skip


def run(*arguments, **named):
    done = subprocess.run(command(*arguments, **named), capture_output=True, text=True, cwd=ROOT)
    assert "Traceback" not in done.stderr
    return done


def attempt(*arguments, **named):
    """The same within this process: quicker."""
    done = CliRunner().invoke(main, command(*arguments, **named)[3:])
    return subprocess.CompletedProcess(arguments, done.exit_code, done.stdout, done.stderr)


def refused(done, *words):
    """One sentence on standard error, nothing on standard output."""
    assert done.returncode == 1
    assert done.stdout == ""
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("Error: ") and "\x1b" not in done.stderr
    assert [word for word in words if word not in lines[0]] == []


def tank(pull, *, n=600, alpha=-7.0, rho=0.6, seed=0):
    """A continuous treatment that an instrument moves with this strength, and a current."""
    x, z, V, e = np.random.default_rng(seed).normal(size=(4, n))
    t = x + pull * z + V
    return pd.DataFrame({"x": x, "z": z, "t": t, "y": alpha * t + x + 10 * (rho * V + np.sqrt(1 - rho**2) * e)})


def spread(seed, uneven=True, n=2000):
    """No effect, and an outcome that varies the more the farther the treatment lies from zero."""
    rng = np.random.default_rng(seed)
    x, x2, x3, v, e = rng.normal(size=(5, n))
    t = v + 0.05 * x
    y = 0.1 * (x + x2 + x3) + e * (np.abs(t) if uneven else 1)
    return pd.DataFrame({"y": y, "t": t, "x": x, "x2": x2, "x3": x3, "b": (v > 1).astype(int)})


def scarred(report, bad):
    """The report with a map in which these columns, by their ρ, cannot be relied on."""
    chart = report.map.assign(pareto_k=report.map.pareto_k.where(~bad, np.nan))
    return report._replace(map=chart, tipping=_tipping(chart, report.worlds.loc["ρ = 0", "alpha"]))


def spoken_of(worlds, formulas, look):
    """Of each world, if `look(design, groups)` finds anything: with its groups, and with none."""
    counted, alone = [], []
    for data in worlds:
        design = make_design(data, **formulas)
        counted.append(look(design, groups_of(identifiers(design, data)[0], design, data)) is not None)
        alone.append(look(design, ()) is not None)
    return counted, alone
