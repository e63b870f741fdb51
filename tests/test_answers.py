"""A cell that gives a prediction away moves into the fold of its answer."""

import answers
from docutils import nodes


def cell(*tags):
    return nodes.container(classes=["cell", *(f"tag_{tag}" for tag in tags)])


def fold():
    return nodes.container("", nodes.rubric("", "Answer"), nodes.paragraph("", "Five."), design_component="dropdown")


def test_cells_that_answer_follow_the_words_in_the_next_fold_in_order():
    plain, first, second, last = cell(), cell("answer"), cell("hide-input", "answer"), fold()
    section = nodes.section("", first, plain, nodes.paragraph("", "words"), second, last, fold())
    answers.fold(None, nodes.section("", section))
    assert section.children[0] is plain
    assert last.children[2:] == [first, second]
    assert len(section.children) == 4


def test_a_cell_without_an_answer_stays():
    lonely = cell("answer")
    section = nodes.section("", fold(), lonely)
    answers.fold(None, section)
    assert lonely.parent is section
