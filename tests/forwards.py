"""Models run forwards many times at once: `pm.draw` runs one draw after the other, and compiles for that."""

import pymc as pm
from pymc.distributions.shape_utils import change_dist_size
from pymc.pytensorf import rvs_in_graph
from pytensor.graph.replace import vectorize_graph


def draw_at_once(variables, draws, *, seed):
    """What `pm.draw` has of them, as one array each: what depends on nothing is made so many, and the rest follows."""
    made = set(rvs_in_graph(variables))
    first = [rv for rv in made if not made & set(rvs_in_graph(rv.owner.op.dist_params(rv.owner)))]
    many = vectorize_graph(variables, {rv: change_dist_size(rv, draws, expand=True) for rv in first})
    found = pm.draw(many, random_seed=seed, mode="FAST_COMPILE")
    assert {len(each) for each in found} == {draws}
    return found
