"""What a built page says of itself, and does without."""

from types import SimpleNamespace

import pytest
import slim
from docutils import nodes
from docutils.core import publish_doctree


@pytest.mark.parametrize("text, lead", [
    ("**Question.** Who swims?", "Who swims?"),
    ("One sentence here. " * 20, ("One sentence here. " * 10).strip()),
    ("word " * 60, ("word " * 39).strip() + "…"),
])  # fmt: skip
def test_a_page_is_described_by_whole_sentences_or_words(text, lead):
    assert slim._lead(publish_doctree(text), "the book") == lead
    assert slim._lead(None, "the book") == "the book"


def test_previews_have_properties_and_an_address_where_there_is_one():
    config = SimpleNamespace(html_baseurl="https://a.example/", html_title="T", root_doc="i")
    app = SimpleNamespace(config=config, builder=SimpleNamespace(get_target_uri=lambda page: f"{page}.html"))
    context = {"title": "A <em>B</em>", "metatags": '<meta name="description" content="own words" />'}
    slim.describe(app, "p", None, context, None)
    assert context["metatags"].count("description") == 2
    assert '<meta property="og:description" content="own words">' in context["metatags"]
    assert '<meta property="og:url" content="https://a.example/p.html">' in context["metatags"]
    assert '<meta property="og:title" content="A B">' in context["metatags"]


@pytest.mark.parametrize(
    ("cell", "set_as"),
    [
        ("-0.52", "−0.52"), ("-1,794", "−1,794"), ("-12 %", "−12 %"), (" -.5 ", " −.5 "), ("-3e-07", "−3e-07"),
        ("NaN", "–"), ("None", "–"), ("&lt;NA&gt;", "–"),
        ("12-15", "12-15"), ("-0.5 to 1", "-0.5 to 1"), ("None of these", "None of these"), ("near -0.3", "near -0.3"),
    ],
)  # fmt: skip
def test_a_table_shows_a_true_minus_and_a_dash_for_what_does_not_apply(cell, set_as):
    row = "<title>x</title><tbody><tr><th>{0}</th><td>{0}</td></tr></tbody>"
    head = cell if "–" in set_as else set_as  # the name of a row stays a name
    shown = slim._slim(row.format(cell))
    assert f"<td>{set_as}</td>" in shown and f">{head}</th>" in shown
    if "–" not in set_as:  # a table of the text has a paragraph in each cell
        assert f"<p>{set_as}</p>" in slim._slim(f"<title>x</title><td><p>{cell}</p></td>")


def test_a_number_in_a_sentence_has_a_true_minus():
    glued = '<title>x</title>from <span class="pasted-text">{}</span> on'
    assert ">−0.8<" in slim._slim(glued.format("-0.8")) and ">-x<" in slim._slim(glued.format("-x"))


def test_a_page_says_once_what_it_says_and_its_tables_have_scopes():
    page = (
        '<head><meta name="viewport" a/><meta name="viewport" b/><meta name="viewport" c/>\n'
        "<title>T &#8212; T</title></head><thead><tr><th></th><th>x</th></tr></thead><tbody><tr><th>r</th></tr></tbody>"
        '<img alt="a" src="b" style="width: 7px; height: 3px;" />'
    )
    page = slim._slim(page)
    assert page.count("viewport") == 1 and "<title>T</title>" in page
    assert '<td></td><th scope="col">x</th>' in page and '<th scope="row">r</th>' in page
    assert '<img alt="a" src="b" width="7" height="3" />' in page


def test_the_search_passes_over_code_and_formulas():
    seen = []
    visit = slim._words_alone(lambda collector, node: seen.append(node))
    visit(None, nodes.Text("fish"))
    for node in (nodes.literal_block(), nodes.math_block(), nodes.raw()):
        with pytest.raises(nodes.SkipNode):
            visit(None, node)
    assert seen == ["fish"]


def test_a_column_of_words_is_marked_in_its_head_and_its_rows():
    """Counted from the right: a name that two rows share stands once. A word, a number or a heading marks nothing."""
    page = (
        '<title>x</title><table border="1" class="dataframe">\n<thead><tr><th>a long head</th><th></th><th>of</th>'
        "<th>says this</th></tr></thead>\n<tbody>"
        '<tr><th rowspan="2">one</th><th>p</th><td>1 to 2</td><td>more than before</td></tr>'
        "<tr><th>q</th><td>some</td><td>less than before</td></tr></tbody></table>"
    )
    shown = slim._slim(page)
    assert shown.count('class="words"') == 3
    assert '<td class="words">less than before</td>' in shown and '<td class="words">more than before</td>' in shown
    assert ">says this</th>" in shown and "<td>1 to 2</td>" in shown and "<td>some</td>" in shown
    assert 'class="words"' not in slim._slim(page.replace("less than before", "less"))


def test_a_sidebars_toggle_has_a_name():
    toggle = '<title>x</title><details><summary><span class="toctree-toggle" role="presentation"></span></summary>'
    assert '<summary aria-label="The pages below"><span class="toctree-toggle"' in slim._slim(toggle)
