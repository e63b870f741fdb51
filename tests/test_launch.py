"""The buttons of a page: whatever the remote's address looks like, they lead to it, and give no secret away."""

import zipfile
from pathlib import Path

import launch
import pytest

ROOT = Path(__file__).parent.parent
FORMS = {
    "https://github.com/ann/tank.git": ("https://github.com/ann/tank", "gh/ann/tank"),
    "https://github.com/ann/tank/": ("https://github.com/ann/tank", "gh/ann/tank"),
    "git@github.com:ann/tank.git": ("https://github.com/ann/tank", "gh/ann/tank"),
    "ssh://git@github.com/ann/tank.git": ("https://github.com/ann/tank", "gh/ann/tank"),
    "https://ghp_secret@github.com/ann/tank.git": ("https://github.com/ann/tank", "gh/ann/tank"),
    "https://ann:secret@gitlab.com/pets/fish/tank.git": ("https://gitlab.com/pets/fish/tank", "gl/pets%2Ffish%2Ftank"),
    "https://oauth2:secret@gitlab.com/pets/tank": ("https://gitlab.com/pets/tank", "gl/pets%2Ftank"),
    "git@gitlab.com:pets/tank.git": ("https://gitlab.com/pets/tank", "gl/pets%2Ftank"),
    "https://codeberg.org/ann/tank.git": (
        "https://codeberg.org/ann/tank", "git/https%3A%2F%2Fcodeberg.org%2Fann%2Ftank"),
    "git@bitbucket.org:ann/tank.git": (
        "https://bitbucket.org/ann/tank", "git/https%3A%2F%2Fbitbucket.org%2Fann%2Ftank"),
    "ssh://ann:secret@git.example.org:2222/pets/tank.git": (
        "https://git.example.org/pets/tank", "git/https%3A%2F%2Fgit.example.org%2Fpets%2Ftank"),
    "https://git.example.org:8443/pets/tank": (
        "https://git.example.org:8443/pets/tank", "git/https%3A%2F%2Fgit.example.org%3A8443%2Fpets%2Ftank"),
    "http://git.example.org/tank?private_token=secret#secret": (
        "http://git.example.org/tank", "git/http%3A%2F%2Fgit.example.org%2Ftank"),
    "git://git.example.org/tank.git": ("https://git.example.org/tank", "git/https%3A%2F%2Fgit.example.org%2Ftank"),
    # the same hosts where the usual port is closed
    "ssh://git@ssh.github.com:443/ann/tank.git": ("https://github.com/ann/tank", "gh/ann/tank"),
    "ssh://git@altssh.gitlab.com:443/pets/tank.git": ("https://gitlab.com/pets/tank", "gl/pets%2Ftank"),
    "ssh://git@altssh.bitbucket.org:443/ann/tank.git": (
        "https://bitbucket.org/ann/tank", "git/https%3A%2F%2Fbitbucket.org%2Fann%2Ftank"),
    "https://www.github.com/ann/tank": ("https://github.com/ann/tank", "gh/ann/tank"),
}  # fmt: skip
NONE = ["", "\n", "/srv/git/tank", "../tank", "file:///srv/git/tank.git", "C:\\books\\tank", "c:/books/tank", "tank",
        "https://", "https://github.com/", "ssh://",
        # a secret that was not quoted, so that the host ends where it should not; and what is no address at all
        "https://ann:sec/ret@gitlab.com/pets/tank", "https://ann:12/secret@gitlab.com/pets/tank",
        "https://ann:12#secret@gitlab.com/pets/tank", "https://ann:1?secret@gitlab.com/pets/tank",
        "ann:secret@github.com:ann/tank.git", "https://git.example.org/tank.git;token=secret",
        "https://git.example.org:port/tank", "https://[::1/tank", "https://git.example.org/a b", "github.com/ann/tank",
        "work:ann/tank.git", "git@ssh.dev.azure.com:v3/pets/fish/tank", "git@host.example.org:~/tank.git",
        "git@host.example.org:../tank", "ext::sh -c tank", "codecommit::eu-west-1://tank"]  # fmt: skip


@pytest.mark.parametrize("address", FORMS)
def test_every_form_of_address_leads_to_the_repository(address):
    url, short = FORMS[address]
    there = launch.parse(address + "\n")
    assert there.url == url
    assert (
        there.binder("book/01-tank.ipynb")
        == f"https://mybinder.org/v2/{short}/main?urlpath=lab/tree/book/01-tank.ipynb"
    )
    for secret in ("secret", "oauth2", "ghp_", "@"):
        assert secret not in there.url + there.binder("book/01-tank.ipynb")


@pytest.mark.parametrize("address", NONE)
def test_a_folder_of_this_computer_or_nothing_has_no_buttons(address):
    assert launch.parse(address) is None


def test_the_environment_comes_before_the_remote(monkeypatch, tmp_path):
    monkeypatch.setenv("BOOK_REPOSITORY_URL", "git@github.com:ann/tank.git")
    assert launch.repository(tmp_path).url == "https://github.com/ann/tank"
    monkeypatch.delenv("BOOK_REPOSITORY_URL")
    assert launch.repository(tmp_path) is None  # no git repository at all
    monkeypatch.setenv("PATH", str(tmp_path))
    assert launch.repository(tmp_path) is None  # and no git


@pytest.mark.parametrize("host", ["localhost:3000", "127.0.0.1", "192.168.1.4:3000", "[::1]:3000", "tank.local"])
def test_binder_is_not_sent_to_a_host_of_this_network(host):
    there = launch.parse(f"http://ann:secret@{host}/ann/tank.git")
    assert there.url == f"http://{host}/ann/tank"
    assert there.binder("book/01.ipynb") is None


def test_the_first_page_says_where_the_code_is_and_sends_nobody_to_a_button_that_is_not_there():
    public, near = launch.parse("git@github.com:ann/tank.git"), launch.parse("http://192.168.1.4/ann/tank.git")
    assert "git clone https://github.com/ann/tank\ncd tank\n" in launch._with(public)
    assert "@ git+https://github.com/ann/tank" in launch._with(public) and "Binder" in launch._with(public)
    assert "git clone http://192.168.1.4/ann/tank" in launch._with(near) and "Binder" not in launch._with(near)
    assert not {"clone", "Binder", "http"} & set(launch.WITHOUT.split())


def test_the_folder_beside_the_pages_installs_and_runs_and_holds_nothing_of_the_builders(tmp_path):
    """pip takes the library from a file whose one folder has a pyproject.toml; the chapters want the rest."""
    name = launch.archive(ROOT)
    launch.pack(ROOT, tmp_path)
    with zipfile.ZipFile(tmp_path / name) as packed:
        held = {file.partition("/")[2] for file in packed.namelist()}
        assert {file.partition("/")[0] for file in packed.namelist()} == {name.removesuffix(".zip")}
    wanted = {"pyproject.toml", "Makefile", "LICENSE", "which_world/__init__.py", "which_world/README.md"}
    assert wanted | {"helpers/__init__.py", "data/ponds.csv", "book/template/my-own-tank.ipynb"} <= held
    assert not [file for file in held if file.startswith(("_build", ".git/", ".venv"))]
    assert f'"./{name}[report,sample]"' in launch._beside(name, "")
    assert f"@ https://a.example/{name}" in launch._beside(name, f"https://a.example/{name}")
    assert launch.known(tmp_path) == []  # no git, and so no file that might be a reader's own


def test_the_edition_is_that_of_the_package_and_of_the_citation():
    this = launch.edition(ROOT)
    assert f"version: {this.version}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert this.line.startswith(f"Version {this.version}") and "url = {{https://a.example}}" in this.bibtex(
        "https://a.example"
    )
    assert "url" not in this.bibtex("")
