"""What the built pages need beyond Jupyter Book's own settings.

The buttons on top of a page open the repository this book was built from: its source, and on Binder. Its address is
BOOK_REPOSITORY_URL where that is set, else the git remote `origin`; without either there are no buttons. A fork's book
therefore opens the fork. The theme's own buttons know three hosts and stop the build on others, so they are left out.
So is Thebe, which would run cells in the page through another host, since this book does not use it.
"""

import os
import re
import subprocess
from html import escape
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from docutils import nodes

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
    address = os.environ.get("BOOK_REPOSITORY_URL", "")
    if not address:
        command = ["git", "-C", str(folder), "remote", "get-url", "origin"]
        try:
            address = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        except OSError:  # no git on this computer
            return None
    return parse(address)


def configure(app, config):
    app.config.book_repository = repository(app.srcdir)
    # the sidebar has a search field; a second one in a bar of its own would only push the text down
    config.html_theme_options = dict(config.html_theme_options) | {"launch_buttons": {}, "navbar_persistent": []}
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
    """What search engines and messengers show of a page: its first words and, where an address is known, a picture."""
    first = next(iter(doctree.findall(nodes.paragraph)), None) if doctree is not None else None
    words = " ".join((first.astext() if first is not None else app.config.project).split())[:200]
    tags = {"description": words, "og:title": context.get("title", app.config.project), "og:description": words}
    if app.config.html_baseurl:
        tags["og:image"] = app.config.html_baseurl.rstrip("/") + "/_static/preview.png"
    lines = (
        f'<meta name="{escape(name)}" content="{escape(re.sub("<[^>]*>", "", text))}">' for name, text in tags.items()
    )
    context["metatags"] = context.get("metatags", "") + "\n".join(lines)


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
    for path in [*out.rglob("*.map"), *out.rglob("fontawesome*.js"), *out.rglob("fa-*.ttf")]:
        path.unlink()


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


def _slim(text):
    """A page without the icon font (the style sheet draws the few icons), and without MathJax where nothing is set."""
    text = re.sub(r"<script[^>]*fontawesome\.js[^>]*></script>|<link[^>]*fa-[a-z]+-\d+\.woff2[^>]*/?>", "", text)
    if 'class="math' not in text:
        text = re.sub(r"<script[^>]*mathjax[^>]*></script>|<script>window\.MathJax[^<]*</script>", "", text)
    # a table that scrolls can be reached by keyboard; a list of references is made of no list items
    text = re.sub(r'<table (border="1" class="dataframe"|class="table")>', r'<table \1 tabindex="0">', text)
    text = re.sub(r"<thead>.*?</thead>", _one_head, text, flags=re.S)
    text = text.replace('<div role="list" class="citation-list">', '<div class="citation-list">')
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
    app.connect("config-inited", configure)
    app.connect("html-page-context", add_buttons, priority=900)
    app.connect("html-page-context", without_thebe, priority=901)
    app.connect("html-page-context", describe)
    app.connect("build-finished", finish)
    return {"parallel_read_safe": True}
