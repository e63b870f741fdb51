"""A picture of each chapter for those who send its address on: its number, its title and the mark.

Drawn where the book is built for an address of its own; without one no messenger would find it.
"""

import re
import textwrap
from html import escape
from pathlib import Path

CHAPTER = re.compile(r"^book/(\d\d)-")
MARK = Path(__file__).parent.parent / "_static" / "mark.svg"
CARD = """<svg xmlns="http://www.w3.org/2000/svg" width="1200" height="630" font-family="sans-serif">
<rect width="1200" height="630" fill="#f7fbfc"/><rect y="604" width="1200" height="26" fill="#1f6f8b"/>
<text x="70" y="96" font-size="30" fill="#1f6f8b" font-weight="bold">{above}</text>
{lines}
<text x="70" y="540" font-size="32" fill="#344f5c">Which World Are We In?</text>
<svg x="790" y="150" width="360" height="285" viewBox="0 0 240 190">{mark}</svg>
</svg>"""
LINE = '<text x="70" y="{y}" font-size="62" fill="#20333c" font-weight="bold">{words}</text>'


def address(page):
    """Where the card of a page lies under the built pages; the book's own for what is no chapter."""
    chapter = CHAPTER.match(page)
    return f"_static/cards/{chapter[1]}.png" if chapter else "_static/preview.png"


def card(number, title):
    """A chapter's card, as SVG of 1,200 by 630."""
    lines = textwrap.wrap(title, 19)
    drawn = (LINE.format(y=190 + 76 * k, words=escape(words)) for k, words in enumerate(lines))
    mark = re.search(r"<svg[^>]*>(.*)</svg>", MARK.read_text(encoding="utf-8"), re.S)[1]
    return CARD.format(above=f"Chapter {number}", lines="".join(drawn), mark=mark)


def draw(app, error):
    """Write the card of every chapter."""
    if error is not None or app.builder.format != "html" or not app.config.html_baseurl:
        return
    import vl_convert

    for page, title in app.env.titles.items():
        if chapter := CHAPTER.match(page):
            path = Path(app.outdir) / address(page)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(vl_convert.svg_to_png(card(int(chapter[1]), title.astext())))


def setup(app):
    app.connect("build-finished", draw)
    return {"parallel_read_safe": True}
