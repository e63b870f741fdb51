"""What a messenger shows of a chapter."""

import struct
from pathlib import Path
from types import SimpleNamespace

import cards
import pytest

ROOT = Path(__file__).parent.parent

TITLES = [path.stem for path in sorted((ROOT / "book").glob("[0-9]*.ipynb"))]


def app(folder, address="https://a.example/"):
    pages = {f"book/{name}": f"What is {name} & <why>?" for name in TITLES} | {"book/when-not": "When not"}
    titles = {page: SimpleNamespace(astext=lambda title=title: title) for page, title in pages.items()}
    config, builder = SimpleNamespace(html_baseurl=address), SimpleNamespace(format="html")
    (folder / "_static").mkdir()
    return SimpleNamespace(builder=builder, config=config, outdir=folder, env=SimpleNamespace(titles=titles))


def test_every_chapter_has_a_picture_of_the_size_that_messengers_ask_for(tmp_path):
    pytest.importorskip("vl_convert")
    cards.draw(app(tmp_path), None)
    drawn = sorted((tmp_path / "_static" / "cards").iterdir())
    assert len(drawn) == len(TITLES)
    assert [tmp_path / cards.address(f"book/{name}") for name in TITLES] == drawn
    sizes = {struct.unpack(">II", path.read_bytes()[16:24]) for path in drawn}
    assert sizes == {(1200, 630)}


def test_without_an_address_there_are_none(tmp_path):
    cards.draw(app(tmp_path, address=""), None)
    assert not (tmp_path / "_static" / "cards").exists()


def test_other_pages_have_the_picture_of_the_book():
    assert (ROOT / "book" / cards.address("index")).exists() and cards.address("book/when-not") == cards.address(
        "index"
    )
