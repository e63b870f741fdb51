"""What the built pages need beyond Jupyter Book's own settings.

Launch buttons open the repository this book was built from.

Its address is BOOK_REPOSITORY_URL where that is set, else the git remote `origin`; without either
there are no buttons. A fork's book therefore opens the fork. Thebe, which would run cells in the
page through another host, is left out, since this book does not use it.
"""

import os
import re
import subprocess


def repository(folder):
    """The repository's web address, or an empty string."""
    address = os.environ.get("BOOK_REPOSITORY_URL", "")
    if not address:
        command = ["git", "-C", str(folder), "remote", "get-url", "origin"]
        address = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    address = re.sub(r"^git@([^:]+):", r"https://\1/", address).removesuffix(".git")
    return address if address.startswith("https://") else ""


def configure(app, config):
    address = repository(app.srcdir)
    options = dict(config.html_theme_options)
    buttons = dict(options.get("launch_buttons", {}))
    if address:
        options.update(repository_url=address, use_repository_button=True, repository_branch="main")
        buttons.update(binderhub_url="https://mybinder.org", colab_url="https://colab.research.google.com")
    # the sidebar has a search field; a second one in a bar of its own would only push the text down
    config.html_theme_options = options | {"launch_buttons": buttons, "navbar_persistent": []}
    config.html_context = {"default_mode": "auto"} | dict(config.html_context)


def without_thebe(app, page, template, context, doctree):
    scripts = context.get("script_files", [])
    context["script_files"] = [script for script in scripts if "thebe" not in _content(script)]


def _content(script):
    attributes = getattr(script, "attributes", {})
    return f"{getattr(script, 'filename', script)} {attributes.get('body', '')}".lower()


def setup(app):
    app.connect("config-inited", configure)
    app.connect("html-page-context", without_thebe, priority=900)
    return {"parallel_read_safe": True}
