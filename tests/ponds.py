"""The ponds' file and formulas, the command line on it, a tank with an instrument, a map with scars."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from click.testing import CliRunner

from which_world.__main__ import main
from which_world.report.contents import _tipping

ROOT = Path(__file__).parent.parent
PONDS = ROOT / "data" / "ponds.csv"
OUTCOME = "gain_g ~ feed_g + start_g + temp_c + C(site)"
TREATMENT = "feed_g ~ start_g + temp_c + C(site)"


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


def scarred(report, bad):
    """The report with a map in which these columns, by their ρ, cannot be relied on."""
    chart = report.map.assign(pareto_k=report.map.pareto_k.where(~bad, np.nan))
    return report._replace(map=chart, tipping=_tipping(chart, report.worlds.loc["ρ = 0", "alpha"]))
