"""What answers a question waits in the question's fold.

A code cell tagged `answer` moves, on the page, to the end of the next drop-down: a figure or a table that gives a
prediction away is seen with the words that read it, and not before. In a notebook the tag does nothing.
"""

from docutils import nodes
from sphinx.util import logging

LOGGER = logging.getLogger(__name__)


def _next_fold(cell):
    """The drop-down that comes next in the cell's own section, or None."""
    around = cell.parent
    after = around.children[around.index(cell) + 1 :]
    return next((node for node in after if isinstance(node, nodes.Element) and _folds(node)), None)


def _folds(node):
    return node.get("design_component") == "dropdown"


def fold(app, doctree):
    """Move each cell that answers into the fold of its answer, in order, below the words."""
    cells = list(doctree.findall(lambda node: isinstance(node, nodes.container) and "tag_answer" in node["classes"]))
    for cell in cells:
        if (answer := _next_fold(cell)) is None:
            LOGGER.warning("a cell tagged 'answer' has no drop-down after it", location=cell)
            continue
        cell.parent.remove(cell)
        answer.append(cell)


def setup(app):
    app.connect("doctree-read", fold)
    return {"parallel_read_safe": True}
