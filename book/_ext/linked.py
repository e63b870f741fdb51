"""A public name in a chapter's code leads to its entry in the reference.

The reference labels each entry; whatever has a label there is linked wherever it is called in a cell.
"""

import re

PAGE = "book/appendix-helpers"
CALLED = re.compile(r'<span class="n">(\w+)</span>(?=<span class="p">\()')


def _entries(app):
    """The anchor of each name that the reference has an entry for."""
    labels = app.env.domaindata["std"]["anonlabels"]
    return {
        label.partition("-")[2]: anchor
        for label, (page, anchor) in labels.items()
        if page == PAGE and label.startswith(("helper-", "class-"))
    }


def link(app, page, template, context, doctree):
    """Lead from each call of a public name to its entry."""
    if page == PAGE or "body" not in context:
        return
    entries = _entries(app)
    address = app.builder.get_relative_uri(page, PAGE)

    def linked(call):
        anchor = entries.get(call[1].lower())
        if anchor is None:
            return call[0]
        return f'<a class="called" href="{address}#{anchor}" title="{call[1]} in the reference">{call[0]}</a>'

    context["body"] = CALLED.sub(linked, context["body"])


def setup(app):
    app.connect("html-page-context", link)
    return {"parallel_read_safe": True}
