"""What a built page says of itself, and what it does without.

Messengers and search engines get a description and a picture. Pages lose what they never use (the icon font, most of
MathJax, a button for another host), say once what themes say twice, and set numbers in tables as numbers are set.
"""

import re
import shutil
from html import escape
from pathlib import Path

import cards
from docutils import nodes
from sphinx.search import WordCollector


def describe(app, page, template, context, doctree):
    """What search engines and messengers show of a page: its lead and, where an address is known, a picture."""
    known, tags = context.get("metatags", ""), {}
    own = re.search(r'<meta[^>]*name="description"[^>]*>', known)
    if own:
        words = re.search(r'content="([^"]*)"', own[0])[1]
    else:
        words = escape(ABOUT if page == app.config.root_doc else _lead(doctree, app.config.html_title))
        tags["name", "description"] = words
    title = re.sub("<[^>]*>", "", context.get("title", app.config.html_title))
    tags |= {("property", "og:title"): title, ("property", "og:description"): words,
             ("property", "og:site_name"): escape(app.config.html_title),
             ("property", "og:type"): "website" if page == app.config.root_doc else "article"}  # fmt: skip
    if app.config.html_baseurl:
        base = app.config.html_baseurl.rstrip("/")
        tags["property", "og:url"] = f"{base}/{app.builder.get_target_uri(page)}"
        tags["property", "og:image"] = f"{base}/{cards.address(page)}"
    lines = (f'<meta {kind}="{name}" content="{text}">' for (kind, name), text in tags.items())
    context["metatags"] = known + "\n".join(lines)


ABOUT = (
    "Sensitivity of a causal effect to unmeasured confounding, as one picture: an executable book and a Python library "
    "for Bayesian structural models, from simulated tanks to your own CSV."
)


def _lead(doctree, otherwise):
    """The first paragraph of a page, without the word that opens a chapter; whole sentences, or whole words."""
    first = next(iter(doctree.findall(nodes.paragraph)), None) if doctree is not None else None
    words = " ".join((first.astext() if first is not None else otherwise).split()).removeprefix("Question. ")
    if len(words) <= 200:
        return words
    sentences = words[:200].rpartition(". ")[0]
    return f"{sentences}." if len(sentences) > 80 else words[:199].rpartition(" ")[0] + "…"


MATHJAX = ["input/tex-base", "output/chtml", "[tex]/ams", "[tex]/noundefined"]  # what the formulas of the book need
SHIPPED = {"startup.js", "core.js", "input/tex-base.js", "output/chtml.js", "input/tex/extensions/ams.js",
           "input/tex/extensions/noundefined.js"}  # fmt: skip
FOLDED = {"source": "code", "content": "code and its output", "output": "output", "outputs": "output"}
UNQUOTED = '[".headerlink", "script", "style", ".cell", "pre", ".math", "summary"]'  # no part of what a search shows


def finish(app, error):
    """What no page needs is taken out, and what they share is put in once."""
    if error is not None or app.builder.format != "html":
        return
    import vl_convert

    out = Path(app.outdir)
    script = f"(function () {{{vl_convert.javascript_bundle()}}})();"  # its names stay its own
    (out / "_static" / "vega.js").write_text(script, encoding="utf-8")
    for path in out.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        path.write_text(_slim(text), encoding="utf-8")
    mathjax = out / "_static" / "mathjax"
    for path in [file for file in mathjax.rglob("*") if file.is_file()]:
        name = path.relative_to(mathjax).as_posix()
        if name not in SHIPPED and not name.startswith("output/chtml/fonts/"):
            path.unlink()
    for path in [*out.rglob("*.map"), *out.rglob("fontawesome*.js")]:
        path.unlink()
    shutil.rmtree(out / "_static" / "vendor" / "fontawesome", ignore_errors=True)
    for path in out.glob("_static/styles/*.css"):
        css = path.read_text(encoding="utf-8")
        path.write_text(re.sub(r"@font-face\{[^}]*Font Awesome[^}]*\}", "", css), encoding="utf-8")
    _replace(out / "_static" / "searchtools.js", '[".headerlink", "script", "style"]', UNQUOTED)
    toggles = out / "_static" / "togglebutton.js"
    _replace(toggles, 'aria-label="Toggle hidden content"', 'aria-label="${toggleHintShow}"')
    for word in ("Show", "Hide"):
        said = f"button.dataset.toggleHint = toggleHint{word};"
        _replace(toggles, said, f"{said} button.ariaLabel = toggleHint{word};")


def _replace(path, old, new):
    """A word of a script that comes with a theme; a theme that has it no more stops the build."""
    text = path.read_text(encoding="utf-8")
    if old not in text:
        raise ValueError(f"{path.name} holds no {old}; accepted is the version of it that the requirements name.")
    path.write_text(text.replace(old, new), encoding="utf-8")


def _words_alone(collect):
    """A collector of words for the search that passes over code, its outputs and formulas."""

    def visit(collector, node):
        if isinstance(node, (nodes.literal_block, nodes.math, nodes.math_block, nodes.raw)):
            raise nodes.SkipNode
        collect(collector, node)

    return visit


def _one_head(found):
    """A table's head without the row that pandas gives the names of the index alone: they go into the row above."""
    rows = re.findall(r"<tr.*?</tr>", found[0], re.S)
    if len(rows) < 2:
        return found[0]
    above, below = (re.findall(r"<th[^>]*>(.*?)</th>", row, re.S) for row in rows[-2:])
    names = [word for word in below if word.strip()]
    alone = names and below[: len(names)] == names and not any(word.strip() for word in above[: len(names)])
    if not alone:
        return found[0]
    cells = "".join(f"<th>{word}</th>" for word in names + above[len(names) :])
    return f"<thead>{''.join(rows[:-2])}<tr>{cells}</tr></thead>"


def _scoped(found):
    """Head cells that say what they head; an empty one heads nothing."""
    scope = "col" if found[1] == "thead" else "row"
    text = re.sub(r"<th>\s*</th>", "<td></td>", found[0]) if scope == "col" else found[0]
    return re.sub(r"<th(?=[ >])(?![^>]*scope)", f'<th scope="{scope}"', text)


CELL = re.compile(r"<t([dh])([^>]*)>(.*?)(?=</t[dh]>)", re.S)


def _worded(found):
    """A table whose columns of words are marked: words stand to the left, and keep room on a narrow screen."""
    head, body = found[1], found[2]
    rows = [[cell[3] for cell in CELL.finditer(row)] for row in re.findall(r"<tr.*?</tr>", body, re.S)]
    widest = min(map(len, rows), default=1)
    # counted from the right, since names that several rows share stand once
    worded = {-k for k in range(1, widest) if all(re.search(r"[^\W\d]+ [^\W\d]+", row[-k]) for row in rows)}
    return found[0].replace(head, _marked(head, worded)).replace(body, _marked(body, worded)) if worded else found[0]


def _marked(part, columns):
    """Rows whose cells of these columns, counted from the right, are of the class `words`."""

    def row(found):
        cells = list(CELL.finditer(found[0]))
        text, at = "", 0
        for k, cell in enumerate(cells, -len(cells)):
            mark = ' class="words"' if k in columns and "class=" not in cell[2] else ""
            text += f"{found[0][at : cell.start()]}<t{cell[1]}{mark}{cell[2]}>{cell[3]}"
            at = cell.end()
        return text + found[0][at:]

    return re.sub(r"<tr.*?</tr>", row, part, flags=re.S)


def _slim(text):
    """A page without the icon font (the style sheet draws the few icons), and without MathJax where nothing is set."""
    text = re.sub(r"<script[^>]*fontawesome\.js[^>]*></script>|<link[^>]*fa-[a-z]+-\d+\.woff2[^>]*/?>", "", text)
    if 'class="math' not in text:
        text = re.sub(r"<script[^>]*mathjax[^>]*></script>|<script>window\.MathJax[^<]*</script>", "", text)
    # a table that scrolls can be reached by keyboard; a list of references is made of no list items
    text = re.sub(r'<table (border="1" class="dataframe"|class="table")>', r'<table \1 tabindex="0">', text)
    text = re.sub(r"<thead>.*?</thead>", _one_head, text, flags=re.S)
    text = re.sub(r"<(thead|tbody)>.*?</\1>", _scoped, text, flags=re.S)
    dataframe = r'<table border="1" class="dataframe"[^>]*>\s*(<thead>.*?</thead>)\s*(<tbody>.*?</tbody>)'
    text = re.sub(dataframe, _worded, text, flags=re.S)
    # numbers as they are set: a true minus, and a dash for what does not apply
    text = re.sub(r'(class="pasted-text">)-(?=[\d.])', r"\1−", text)
    text = re.sub(r"(<t[dh][^>]*>\s*(?:<p>\s*)?)-(?=[\d.,]+(?:e[-+]\d+| ?%)?\s*(?:</p>\s*)?</t)", r"\1−", text)
    text = re.sub(r"(<td[^>]*>\s*)(?:NaN|nan|None|&lt;NA&gt;)(?=\s*</td>)", r"\1–", text)
    text = text.replace('<div role="list" class="citation-list">', '<div class="citation-list">')
    text = text.replace(' role="doc-biblioentry"', "")
    # a picture keeps its place before it arrives, and is called by its words
    text = re.sub(r'(<img [^>]*)style="width: (\d+)px; height: (\d+)px;"', r'\1width="\2" height="\3"', text)
    text = re.sub(r'(<button class="btn search-button[^>]*?) aria-label="Search"', r"\1", text)
    # said once
    first, *others = text.split('<meta name="viewport"')
    text = '<meta name="viewport"'.join([first, *others[:1]]) + "".join(part.partition(">")[2] for part in others[1:])
    text = re.sub(r"<title>(.*?) &#8212; \1</title>", r"<title>\1</title>", text)
    text = re.sub(r' id="(exercise|solution)-content"', "", text)  # many on a page, and an id is one
    # a fold is called by the words on it, and those are a reader's
    text = text.replace('<summary aria-label="Toggle hidden content">', "<summary>")
    toggle = '<span class="toctree-toggle"'  # in the sidebar, beside the name of a page that has others below it
    text = text.replace(f"<summary>{toggle}", f'<summary aria-label="The pages below">{toggle}')
    prompt = r'(admonition-title">(?:Show|Hide) the )(source|content|outputs?)</p>'
    text = re.sub(prompt, lambda said: f"{said[1]}{FOLDED[said[2]]}</p>", text)
    if "<title>" not in text:
        text = text.replace("<head>", "<head><title>Which World Are We In?</title>", 1)
        text = text if "<head>" in text else f"<!DOCTYPE html><title>Which World Are We In?</title>{text}"
    return text


def without_thebe(app, page, template, context, doctree):
    scripts = context.get("script_files", [])
    context["script_files"] = [script for script in scripts if "thebe" not in _content(script)]


def _content(script):
    attributes = getattr(script, "attributes", {})
    return f"{getattr(script, 'filename', script)} {attributes.get('body', '')}".lower()


def configure(app, config):
    """Mathematics without another host, and no more of it than the formulas need."""
    config.mathjax_path = "mathjax/startup.js"
    options = {"processHtmlClass": "tex2jax_process|mathjax_process|math|output_area"}
    packages = {"[+]": ["ams", "noundefined"]}
    config.mathjax3_config = {"loader": {"load": MATHJAX}, "tex": {"packages": packages}, "options": options}


def setup(app):
    WordCollector.dispatch_visit = _words_alone(WordCollector.dispatch_visit)
    app.connect("config-inited", configure)
    app.connect("html-page-context", without_thebe, priority=901)
    app.connect("html-page-context", describe)
    app.connect("build-finished", finish)
    return {"parallel_read_safe": True}
