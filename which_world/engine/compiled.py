"""Graphs of PyMC and PyTensor as functions of numbers, compiled once a structure.

A model's graph holds its data and the numbers of its priors as constants, so two models that differ
in nothing else are two graphs, and each would be compiled. Here the constants and the shared data
become arguments: what is compiled belongs to the *structure* alone, and every graph brings its own
numbers. Two structures are one only where operations, types, the shapes of constants, how all these
hang together, and every whole number among the constants are equal. A random variable whose density
is not known to be a function of such arguments is compiled anew each time.
"""

import inspect
from threading import RLock
from typing import NamedTuple

import numpy as np
import pytensor
from pymc.distributions.continuous import HalfCauchyRV, InterpolatedRV
from pymc.distributions.custom import CustomSymbolicDistRV
from pymc.distributions.distribution import SymbolicRandomVariable
from pymc.logprob.abstract import _logprob
from pytensor.compile.sharedvalue import SharedVariable
from pytensor.graph.basic import Constant
from pytensor.graph.replace import clone_replace
from pytensor.graph.traversal import toposort
from pytensor.tensor.random.basic import (
    BernoulliRV,
    BetaRV,
    HalfNormalRV,
    InvGammaRV,
    MvNormalRV,
    NormalRV,
)
from pytensor.tensor.random.op import RandomVariable
from pytensor.tensor.type import TensorType

QUICK = "FAST_COMPILE"
KEPT_FUNCTIONS = 64  # compiled functions; a joint model has about eight
KNOWN_DISTRIBUTIONS = (
    NormalRV,
    MvNormalRV,
    HalfNormalRV,
    HalfCauchyRV,
    InvGammaRV,
    BetaRV,
    BernoulliRV,
    InterpolatedRV,
)
FUNCTIONS: dict = {}  # by structure, the one that was used last at the end; they hold no data
ONE_AT_A_TIME = RLock()  # a compiled function has one memory, and so has PyTensor while it compiles


class Unknown(Exception):
    """A random variable whose density may read its constants while it is written down."""


class Taken(NamedTuple):
    """A graph taken apart: its structure, and the leaves that hold its numbers."""

    structure: tuple
    leaves: list

    @property
    def numbers(self):
        """What the leaves hold now, which is what the graph would be worked out with."""
        return [
            leaf.data if isinstance(leaf, Constant) else leaf.get_value(borrow=True)
            for leaf in self.leaves
        ]


def compiled(write, variables):
    """What `write` makes of some variables of a graph, as a function of numbers.

    `write` is a function of the module, from the variables to (inputs, output); it sees copies of
    them, whose constants are arguments, and is asked once a structure.
    """
    try:
        graph = taken_apart(variables)
    except Unknown:
        inputs, output = write(variables)
        return pytensor.function(inputs, output, mode=QUICK)
    key = write, graph.structure

    def function(*values):
        with ONE_AT_A_TIME:
            FUNCTIONS[key] = run = FUNCTIONS.pop(key, None) or _compile(write, variables, graph)
            while len(FUNCTIONS) > KEPT_FUNCTIONS:
                del FUNCTIONS[next(iter(FUNCTIONS))]
            return run(*values, *graph.numbers)

    return function


def evaluated(variable, given=()):
    """The number of a variable, those of some others being `given`: pairs of these and a number."""
    if isinstance(variable, Constant):
        return variable.data
    others = [other for other, _ in given]
    return compiled(as_it_stands, [variable, *others])(*(number for _, number in given))


def as_it_stands(variables):
    """The first of some variables, given the others."""
    return variables[1:], variables[0]


def rounded_alike():
    """A context in which what PyTensor compiles rounds the same however it came to be.

    Its default, fast arithmetic, rounds as the compiler happens to inline. A graph compiled now and
    one read from its cache on disk then differ in a last digit, and NUTS in every draw.
    """
    return pytensor.config.change_flags(numba__fastmath=False)


def _compile(write, variables, graph):
    arguments = [leaf.type() for leaf in graph.leaves]
    copies = clone_replace(variables, dict(zip(graph.leaves, arguments)))
    inputs, output = write(copies)
    return pytensor.function([*inputs, *arguments], output, mode=QUICK, on_unused_input="ignore")


def taken_apart(variables):
    """A graph's structure and numbers.

    Raises
    ------
    Unknown
        When it has a random variable that is not known to be a function of its arguments.
    """
    places, parts, leaves = {}, [], []

    def see(leaf):
        if leaf not in places:
            places[leaf] = len(places)
            argument = leaf not in read and _is_argument(leaf)
            parts.append((leaf.type, "argument") if argument else _exactly(leaf))
            leaves.extend([leaf] * argument)

    nodes = list(toposort(variables))
    read = {leaf for node in nodes if isinstance(node.op, InterpolatedRV) for leaf in node.inputs}
    for node in nodes:
        for variable in node.inputs:
            see(variable)
        inputs = tuple(places[variable] for variable in node.inputs)
        parts.append((_meaning(node.op), inputs, tuple(out.type for out in node.outputs)))
        places |= {output: len(places) + k for k, output in enumerate(node.outputs)}
    for variable in variables:
        see(variable)
    return Taken((*parts, tuple(places[variable] for variable in variables)), leaves)


def _is_argument(leaf):
    """Whether a leaf holds data or the number of a prior."""
    if not isinstance(leaf.type, TensorType):
        return False
    return isinstance(leaf, SharedVariable) or (
        isinstance(leaf, Constant) and leaf.type.dtype.startswith("float")
    )


def _exactly(leaf):
    """A leaf that belongs to the structure: its type, and its value if it has one."""
    if isinstance(leaf, Constant):
        value = leaf.data
        known = (value.shape, value.tobytes()) if isinstance(value, np.ndarray) else value
        return leaf.type, known
    if isinstance(leaf, SharedVariable):  # a generator of random numbers, which no density asks
        return leaf.type
    raise Unknown


def _meaning(op):
    """An operation, equal to all those that do the same."""
    if isinstance(op, CustomSymbolicDistRV):  # PyMC makes a class for each variable
        return CustomSymbolicDistRV, op.fgraph, op.is_inline, op.extended_signature, _law(op)
    if isinstance(op, SymbolicRandomVariable) and type(op).__module__.startswith("which_world."):
        return type(op), op.fgraph, op.is_inline, op.extended_signature  # ours, by name
    if type(op).__base__.__name__ == "BARTRV":  # so does PyMC-BART, and gives none a density
        return type(op).__base__
    if (
        isinstance(op, (RandomVariable, SymbolicRandomVariable))
        and type(op) not in KNOWN_DISTRIBUTIONS
    ):
        raise Unknown
    return op


def _law(op):
    """The log density that was written for a variable: None where it follows from its draws."""
    if op.inline_logprob:
        return None
    law = inspect.getclosurevars(_logprob.dispatch(type(op))).nonlocals.get("logp")
    if not getattr(law, "__module__", "").startswith("which_world."):
        raise Unknown
    return law
