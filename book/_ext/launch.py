"""What the built pages need beyond Jupyter Book's own settings.

The buttons on top of a page open the repository this book was built from: its source, and on Binder. Its address is
BOOK_REPOSITORY_URL where that is set, else the git remote `origin`; without either there are no buttons. A fork's book
therefore opens the fork. The theme's own buttons know three hosts and stop the build on others, so they are left out.
So is Thebe, which would run cells in the page through another host, since this book does not use it.

The first page says where the code is and which edition this is: the directives `where-the-code-is` and `edition`.
"""

import os
import re
import shutil
import subprocess
import tomllib
from datetime import date
from html import escape
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, urlsplit

import cards
import yaml
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.search import WordCollector
from sphinx.util.docutils import SphinxDirective

BINDER = "https://mybinder.org/v2"
BRANCH = "main"
SCP = re.compile(r"^(?:[^@/:]+@)?(?P<host>[^/:@]{2,}\.[^/:@]+):(?P<path>[^\\].*)$")  # user@host.org:path, as scp has it
PATH = re.compile(r"[\w.~+/-]+")  # with an @ or a ; in it, part of a secret would be taken for a path
# hosts that are read on the web under another name, or under another path
WEB = {"ssh.github.com": "github.com", "www.github.com": "github.com", "altssh.gitlab.com": "gitlab.com",
       "altssh.bitbucket.org": "bitbucket.org", "ssh.dev.azure.com": ""}  # fmt: skip


class Repository(NamedTuple):
    """Where a repository is read on the web: no user name, no password, no token."""

    host: str
    path: str
    scheme: str = "https"

    @property
    def url(self):
        return f"{self.scheme}://{self.host}/{self.path}"

    def binder(self, page):
        """Binder's address of a page, or None: it takes hosts that it has no short name for by address."""
        if _near(self.host):
            return None
        path = quote(self.path, safe="")
        known = {"github.com": f"gh/{self.path}", "gitlab.com": f"gl/{path}"}
        where = known.get(self.host, f"git/{quote(self.url, safe='')}")
        return f"{BINDER}/{where}/{BRANCH}?urlpath=lab/tree/{quote(page)}"


def _near(host):
    """Whether a host is known in its own network only."""
    name = urlsplit(f"//{host}").hostname
    try:
        return not ip_address(name).is_global
    except ValueError:  # a name
        return "." not in name or name.endswith((".local", ".localhost", ".lan", ".internal"))


def parse(address):
    """The repository behind the address of a git remote; None for a folder of this computer, or for no address."""
    address = address.strip()
    try:
        found = SCP.match(address) if "://" not in address else None
        parts = urlsplit(f"ssh://{found['host']}/{found['path']}" if found else address)
        host, port = parts.hostname, parts.port
    except ValueError:  # a port that is no number, half an IPv6 address
        return None
    if parts.scheme not in ("http", "https", "ssh", "git", "git+ssh") or not host:
        return None
    web = parts.scheme in ("http", "https")  # the port of another protocol is not the web's
    host = f"[{host}]" if ":" in host else WEB.get(host, host)
    path = parts.path.strip("/").removesuffix(".git").strip("/")
    if not host or not PATH.fullmatch(path) or not all(part.strip(".~") for part in path.split("/")):
        return None
    return Repository(f"{host}:{port}" if web and port else host, path, parts.scheme if web else "https")


def repository(folder):
    """The repository that a folder was cloned from."""
    return parse(os.environ.get("BOOK_REPOSITORY_URL", "") or _git(folder, "remote", "get-url", "origin"))


def _git(folder, *words):
    try:
        return subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=False).stdout
    except OSError:  # no git on this computer
        return ""


class Edition(NamedTuple):
    """What is built: its version, the day of its last change (none without git), how to cite it."""

    version: str
    day: date | None
    title: str
    authors: str

    @property
    def line(self):
        return f"Version {self.version}" + (f", {self.day.day} {self.day:%B %Y}" if self.day else "")

    def bibtex(self, url):
        fields = {"title": self.title, "author": self.authors, "version": self.version}
        fields |= {"year": str(self.day.year)} if self.day else {}
        fields |= {"url": url} if url else {}
        return "@software{whichworld,\n" + "".join(f"  {key} = {{{{{each}}}}},\n" for key, each in fields.items()) + "}"


def edition(folder):
    """The edition that stands in a folder."""
    version = tomllib.loads((Path(folder) / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    cited = yaml.safe_load((Path(folder) / "CITATION.cff").read_text(encoding="utf-8"))
    day = _git(folder, "log", "-1", "--format=%cs").strip()
    names = " and ".join(each["name"] for each in cited["authors"])
    return Edition(version, date.fromisoformat(day) if day else None, cited["title"], names)


class Told(SphinxDirective):
    """A piece of Markdown that depends on where and when the book is built."""

    def run(self):
        found = nodes.container()
        self.state.nested_parse(StringList(self.words().splitlines(), self.name), self.content_offset, found)
        return found.children


class WhereTheCodeIs(Told):
    def words(self):
        there = self.config.book_repository
        return WITHOUT if there is None else _with(there)


class ThisEdition(Told):
    def words(self):
        there, this = self.config.book_repository, edition(self.env.srcdir)
        address = self.config.html_baseurl or (there.url if there else "")
        return f"{this.line}. {this.authors}.\n\n```bibtex\n{this.bibtex(address)}\n```"


def _with(there):
    name, binder = there.path.rpartition("/")[2], there.binder("book/01-aquarium.ipynb")
    browser = f"In a browser, with nothing to install: [chapter 1 in Binder]({binder}), which takes minutes to start. "
    return f"""\
The code of this book is at <{there.url}>. The library alone, for your own project:

```bash
pip install "which-world[report,sample] @ git+{there.url}"
```

The book, with the chapters to run:

```bash
git clone {there.url}
cd {name}
make book                   # sets up .venv, then builds these pages
.venv/bin/jupyter lab book  # opens the chapters
```

{(browser + "The button *Run in Binder* opens any other.") if binder else ""}"""


WITHOUT = """\
These pages were built from a folder without a public address, so they cannot link to their code. Ask whoever gave you
the pages for that folder; a builder who sets `BOOK_REPOSITORY_URL` has the address written here. In the folder:

```bash
make book                          # sets up .venv, then builds these pages
.venv/bin/jupyter lab book         # opens the chapters
pip install ".[report,sample]"     # the library alone, into a project of your own
```
"""


def configure(app, config):
    app.config.book_repository = there = repository(app.srcdir)
    source = f' · <a href="{escape(there.url)}">source</a>' if there else ""
    footer = f"<p>{edition(app.srcdir).line}{source}</p>"
    # the sidebar has a search field; a second one in a bar of its own would only push the text down
    config.html_theme_options = dict(config.html_theme_options) | {
        "launch_buttons": {}, "navbar_persistent": [], "extra_footer": footer,
    }  # fmt: skip
    config.html_baseurl = config.html_baseurl or os.environ.get("BOOK_URL", "")
    config.html_context = {"default_mode": "auto"} | dict(config.html_context)
    config.mathjax_path = "mathjax/startup.js"
    options = {"processHtmlClass": "tex2jax_process|mathjax_process|math|output_area"}
    packages = {"[+]": ["ams", "noundefined"]}
    config.mathjax3_config = {"loader": {"load": MATHJAX}, "tex": {"packages": packages}, "options": options}


def add_buttons(app, page, template, context, doctree):
    """The source of the book and, for a notebook, Binder."""
    there, buttons = app.config.book_repository, context.get("header_buttons")
    if there is None or buttons is None:
        return
    notebook = doctree is not None and app.env.doc2path(page).endswith(".ipynb")
    if notebook and (binder := there.binder(f"{page}.ipynb")):
        buttons.append(_link("Run in Binder", binder, "fas fa-rocket", "launch-binder"))
    buttons.append(_link("Source repository", there.url, "fas fa-code-branch", "source-repository-button"))


def _link(text, url, icon, label):
    return {"type": "link", "text": text, "tooltip": text, "url": url, "icon": icon, "label": label}


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


UNQUOTED = '[".headerlink", "script", "style", ".cell", "pre", ".math", "summary"]'  # no part of what a search shows


def _words_alone(collect):
    """A collector of words for the search that passes over code, its outputs and formulas."""

    def visit(collector, node):
        if isinstance(node, (nodes.literal_block, nodes.math, nodes.math_block, nodes.raw)):
            raise nodes.SkipNode
        collect(collector, node)

    return visit


MATHJAX = ["input/tex-base", "output/chtml", "[tex]/ams", "[tex]/noundefined"]  # what the formulas of the book need
SHIPPED = {"startup.js", "core.js", "input/tex-base.js", "output/chtml.js", "input/tex/extensions/ams.js",
           "input/tex/extensions/noundefined.js"}  # fmt: skip
FOLDED = {"source": "code", "content": "code and its output", "output": "output", "outputs": "output"}


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


def _slim(text):
    """A page without the icon font (the style sheet draws the few icons), and without MathJax where nothing is set."""
    text = re.sub(r"<script[^>]*fontawesome\.js[^>]*></script>|<link[^>]*fa-[a-z]+-\d+\.woff2[^>]*/?>", "", text)
    if 'class="math' not in text:
        text = re.sub(r"<script[^>]*mathjax[^>]*></script>|<script>window\.MathJax[^<]*</script>", "", text)
    # a table that scrolls can be reached by keyboard; a list of references is made of no list items
    text = re.sub(r'<table (border="1" class="dataframe"|class="table")>', r'<table \1 tabindex="0">', text)
    text = re.sub(r"<thead>.*?</thead>", _one_head, text, flags=re.S)
    text = re.sub(r"<(thead|tbody)>.*?</\1>", _scoped, text, flags=re.S)
    # numbers as they are set: a true minus, and a dash for what does not apply
    text = re.sub(r"(<t[dh][^>]*>\s*)-(?=[\d.,]+(?:e[-+]\d+| ?%)?\s*</t)", r"\1−", text)
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


def setup(app):
    app.add_config_value("book_repository", None, "html")
    app.add_directive("where-the-code-is", WhereTheCodeIs)
    app.add_directive("edition", ThisEdition)
    WordCollector.dispatch_visit = _words_alone(WordCollector.dispatch_visit)
    app.connect("config-inited", configure)
    app.connect("html-page-context", add_buttons, priority=900)
    app.connect("html-page-context", without_thebe, priority=901)
    app.connect("html-page-context", describe)
    app.connect("build-finished", finish)
    return {"parallel_read_safe": True}
