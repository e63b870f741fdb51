"""Where the code of the book is.

The buttons on top of a page open the repository this book was built from: its source, and on Binder. Its address is
BOOK_REPOSITORY_URL where that is set, else the git remote `origin`; without either there are no buttons. A fork's book
therefore opens the fork. The theme's own buttons know three hosts and stop the build on others, so they are left out.
So is Thebe, which would run cells in the page through another host, since this book does not use it.

The first page says where the code is and which edition this is: the directives `where-the-code-is` and `edition`.
Beside the pages lies the folder they were built from, as one file: pip installs the library from it, and who unzips it
has the chapters. So a reader of a copy on a stick has all of it too.
"""

import os
import re
import subprocess
import tomllib
import zipfile
from datetime import date
from html import escape
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, urlsplit

import yaml
from docutils import nodes
from docutils.statemachine import StringList
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
        there, folder = self.config.book_repository, self.env.srcdir
        if there is not None:
            return _with(there)
        base, name = self.config.html_baseurl.rstrip("/"), archive(folder)
        return _beside(name, f"{base}/_downloads/{name}" if base else "") if known(folder) else WITHOUT


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


def _beside(name, address):
    """Where the folder lies beside its pages; by its address where the pages have one."""
    stem = name.removesuffix(".zip")
    source = f"which-world[report,sample] @ {address}" if address else f"./{name}[report,sample]"
    return f"""\
The code of this book comes with its pages: <a href="../_downloads/{name}" download>{name}</a>. The library alone, for
your own project{"" if address else ", from the folder that you saved it in"}:

```bash
pip install "{source}"
```

The book, with the chapters to run:

```bash
unzip {name}
cd {stem}
make book                   # sets up .venv, then builds these pages
.venv/bin/jupyter lab book  # opens the chapters
```
"""


def archive(folder):
    """The name of the file that holds the folder."""
    return f"which-world-{edition(folder).version}.zip"


def known(folder):
    """The files of the folder that git knows of; none without git, which alone tells them from a reader's own."""
    files = (Path(each) for each in _git(folder, "ls-files", "-z").split("\0") if each)
    return [file for file in files if (Path(folder) / file).is_file()]


def pack(folder, into):
    """What is known of the folder, as one file."""
    name = archive(folder)
    with zipfile.ZipFile(Path(into) / name, "w", zipfile.ZIP_DEFLATED) as packed:
        for file in known(folder):
            packed.write(Path(folder) / file, Path(name).stem / file)


def lay_beside(app, error):
    """The folder's own file, among what the pages have to be downloaded."""
    if error is None and app.builder.format == "html" and known(app.srcdir):
        into = Path(app.outdir) / "_downloads"
        into.mkdir(exist_ok=True)
        pack(app.srcdir, into)


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


def setup(app):
    app.add_config_value("book_repository", None, "html")
    app.add_directive("where-the-code-is", WhereTheCodeIs)
    app.add_directive("edition", ThisEdition)
    app.connect("config-inited", configure)
    app.connect("html-page-context", add_buttons, priority=900)
    app.connect("build-finished", lay_beside)
    return {"parallel_read_safe": True}
