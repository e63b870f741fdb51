"""A sum of trees where a line is too stiff: `bart()` for an equation's index.

In the PyMC model a forest is a variable of PyMC-BART (Quiroga et al. 2022).
`which_world.engine.forest_gibbs` samples it.

*A forest has a constant of its own*, so an intercept beside it would be surplus: the intercept
reported is the forest's average over the rows.

*A forest runs backwards only.* PyMC-BART draws no
trees from a prior: forwards, its forest is a constant. `pm.do(model, {"forest_T": values})` gives
it values to run forwards with.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import ndtri

from which_world import arguments
from which_world.design import Design

if TYPE_CHECKING:
    from pytensor.tensor.variable import TensorVariable

PREFIX = "forest_"  # of a forest's name: one value a row, judged through what it does to the rest
PROBIT = 1.5  # sd of a binary response's index: within ±3 for nearly all (Chipman et al. 2010)


@dataclass(frozen=True)
class Forest:
    """A sum of trees; see `bart`."""

    trees: int = 50
    alpha: float = 0.95
    beta: float = 2.0
    spread: float | None = None

    def index(
        self, name: str, X: np.ndarray, level: float, spread: float, *, dims: str = "obs"
    ) -> TensorVariable:
        """The forest's value in each row of X, (n,), inside a model context.

        `level` and (unless the forest has its own) `spread` are the prior mean and sd of its value
        there.
        """
        from which_world.engine import pymc_bart_parts  # only a forest needs it

        # PyMC-BART takes both from a response; signs in turn have mean 0 and sd 1
        signs = np.resize([-1.0, 1.0], len(X))
        response = level + (self.spread or spread) * signs
        shape = {"m": self.trees, "alpha": self.alpha, "beta": self.beta}
        return pymc_bart_parts.variable(name, X, response, **shape, dims=dims)


def bart(
    *, trees: int = 50, alpha: float = 0.95, beta: float = 2.0, spread: float | None = None
) -> Forest:
    """A forest for an equation: ``joint_model(design, treatment=bart())``.

    Parameters
    ----------
    trees : int
        How many trees are summed.
    alpha, beta : float
        A node at depth d splits with probability alpha (1 + d)^(-beta).
    spread : float, optional
        Prior sd of the forest at a point, in units of its equation: a leaf is Normal(0,
        spread/√trees) around the response's average. Left out: the response's standard deviation,
        and 1.5 for the index of a binary one.

    Returns
    -------
    Forest

    Raises
    ------
    ValueError
        When `trees` is no positive integer, `alpha` no probability, or `beta` or `spread` not
        positive.

    Notes
    -----
    A model with a forest can be fitted, not run forwards: PyMC-BART's variable has no draws from
    its own prior, and ``pm.sample_prior_predictive`` gives the same flat value to every row.

    See Also
    --------
    joint_model : takes it as ``treatment`` or ``outcome``.

    References
    ----------
    Chipman, George & McCulloch 2010, doi:10.1214/09-AOAS285; Quiroga et al. 2022, arXiv:2206.03619.

    Examples
    --------
    >>> from which_world import bart
    >>> bart(trees=20)
    Forest(trees=20, alpha=0.95, beta=2.0, spread=None)
    """
    return Forest(
        arguments.count(trees, "trees"),
        arguments.probability(alpha, "alpha"),
        arguments.positive(beta, "beta"),
        arguments.optional(arguments.positive, spread, "spread"),
    )


def check_forest(**forests: Any) -> None:
    """Refuse what is neither None nor a forest, by name."""
    accepted = "None, the linear index of its formula, or bart(...)"
    for name, value in forests.items():
        if not (value is None or isinstance(value, Forest)):
            arguments.refuse(name, value, accepted, error=TypeError)


def forest_index(design: Design, equation: str, forest: Forest) -> TensorVariable:
    """An equation's index as a forest of its covariates, its average being the intercept.

    The equation is ``"O"`` or ``"T"``.
    """
    import pymc as pm

    if equation == "O":
        kind, response, included = design.outcome_kind, design.y, design.in_outcome
    else:
        kind, response, included = design.kind, design.t, design.in_treatment
    if not included.any():
        raise ValueError(
            f"equation {equation} has no covariates for a forest; accepted is a formula with at "
            "least one."
        )
    level, spread = response.mean(), response.std()
    if kind == "binary":
        level, spread = ndtri(level), np.float64(PROBIT)
    index = forest.index(f"{PREFIX}{equation}", design.C[:, included], level, spread)
    pm.Deterministic(f"intercept_{equation}", index.mean())
    return index
