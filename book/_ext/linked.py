"""A public name in a chapter's code leads to its entry in the reference.

The reference labels each entry; whatever has a label there is linked wherever it is called in a cell.
"""

import re

PAGES = "book/reference-"
CALLED = re.compile(r'(?<!<span class="o">\.</span>)<span class="n">(\w+)</span>(?=<span class="p">\()')  # no method


def _entries(app):
    """Page and anchor of each name with an entry; a label does not tell `Normal` from `normal`."""
    labels = app.env.domaindata["std"]["anonlabels"]
    return {
        tuple(label.split("-", 1)): (page, anchor)
        for label, (page, anchor) in labels.items()
        if page.startswith(PAGES) and label.startswith(("helper-", "class-"))
    }


def _place(name, entries):
    """Where a name of just this spelling has its entry, or None: functions are lower case, and classes begin large."""
    if name[0].isupper():
        return entries.get(("class", name.lower()))
    return entries.get(("helper", name)) if name.islower() else None


def link(app, page, template, context, doctree):
    """Lead from each call of a public name to its entry."""
    if page.startswith(PAGES) or "body" not in context:
        return
    entries = _entries(app)

    def linked(call):
        place = _place(call[1], entries)
        if place is None:
            return call[0]
        address = app.builder.get_relative_uri(page, place[0])
        return f'<a class="called" href="{address}#{place[1]}" title="{call[1]} in the reference">{call[0]}</a>'

    context["body"] = CALLED.sub(linked, context["body"])


def setup(app):
    app.connect("html-page-context", link)
    return {"parallel_read_safe": True}
