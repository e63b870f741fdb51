"""A sum of trees where a line is too stiff: `bart()` for an equation's index.

In the PyMC model a forest is a variable of PyMC-BART (Quiroga et al. 2022). `which_world.engine.forest_gibbs` samples
it.

*A forest has a constant of its own*, so an intercept beside it would be surplus: the intercept reported is the
forest's average over the rows.
*A forest runs backwards only.* PyMC-BART draws no trees from a prior: forwards, its forest is a constant.
`pm.do(model, {"forest_T": values})` gives it values to run forwards with.
"""

from dataclasses import dataclass
from types import SimpleNamespace
from unittest.mock import patch

import numpy as np
from scipy.special import ndtri

from which_world import arguments

PREFIX = "forest_"  # of the names of forests: one value an observation, judged through what they do to the rest
PROBIT = 1.5  # spread of the index of a binary treatment: within ±3 for nearly all (Chipman, George & McCulloch 2010)


@dataclass(frozen=True)
class Forest:
    """A sum of trees; see `bart`."""

    trees: int = 50
    alpha: float = 0.95
    beta: float = 2.0
    spread: float | None = None

    def index(self, name, X, level, spread, *, dims="obs"):
        """The forest's value in each row of X, inside a model context.

        Parameters
        ----------
        name : str
        X : ndarray, shape (n, p)
        level, spread : float
            Prior mean and (unless the forest has its own) sd of its value at a point.
        dims : str

        Returns
        -------
        TensorVariable, shape (n,)
        """
        import pymc_bart as pmb  # only a forest needs it

        # PyMC-BART takes both from a response; ±1 has mean 0 and sd 1
        response = level + (self.spread or spread) * np.resize([-1.0, 1.0], len(X) + len(X) % 2)[: len(X)]
        # the manager is a process for every forest, to hand its trees to predictions that are not made here
        with patch("pymc_bart.bart.Manager", return_value=SimpleNamespace(list=list)):
            return pmb.BART(name, X, response, m=self.trees, alpha=self.alpha, beta=self.beta, dims=dims)


def bart(*, trees=50, alpha=0.95, beta=2.0, spread=None):
    """A forest for an equation: ``joint_model(design, treatment=bart())``.

    Parameters
    ----------
    trees : int
        How many trees are summed.
    alpha, beta : float
        A node at depth d splits with probability alpha (1 + d)^(-beta).
    spread : float, optional
        Prior sd of the forest at a point, in units of its equation: a leaf is Normal(0, spread/√trees) around the
        response's average. Left out: the response's standard deviation, and 1.5 for the index of a binary one.

    Returns
    -------
    Forest

    Raises
    ------
    ValueError
        When `trees` is no positive integer, `alpha` no probability, or `beta` or `spread` not positive.

    Notes
    -----
    A model with a forest can be fitted, not run forwards: PyMC-BART's variable has no draws from its own prior, and
    ``pm.sample_prior_predictive`` gives the same flat value to every row.

    References
    ----------
    Chipman, George & McCulloch 2010, doi:10.1214/09-AOAS285; Quiroga et al. 2022, arXiv:2206.03619.
    """
    return Forest(
        arguments.count(trees, "trees"), arguments.probability(alpha, "alpha"), arguments.positive(beta, "beta"),
        arguments.optional(arguments.positive, spread, "spread"),
    )  # fmt: skip


def check_forest(**forests):
    """Refuse what is neither None nor a forest, by name."""
    for name, value in forests.items():
        if not (value is None or isinstance(value, Forest)):
            arguments.refuse(name, value, "None, the linear index of its formula, or bart(...)", error=TypeError)


def forest_index(design, equation, forest):
    """An equation's index as a forest of its covariates, with its average as the equation's intercept."""
    import pymc as pm

    response, included = (design.y, design.in_outcome) if equation == "O" else (design.t, design.in_treatment)
    if not included.any():
        raise ValueError(
            f"equation {equation} has no covariates for a forest; accepted is a formula with at least one."
        )
    level, spread = response.mean(), response.std()
    if design.kinds["OT".index(equation)] == "binary":
        level, spread = ndtri(level), PROBIT
    index = forest.index(f"{PREFIX}{equation}", design.C[:, included], level, spread)
    pm.Deterministic(f"intercept_{equation}", index.mean())
    return index
