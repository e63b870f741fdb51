"""Numbers in words."""

from helpers import write_report
from which_world.report.words import number, percent


def test_tables_are_rounded_and_settled_probabilities_are_words(report, tmp_path):
    folder = write_report(report, tmp_path / "out")
    latex = (folder / "table.tex").read_text(encoding="utf-8")
    assert latex.startswith("% needs \\usepackage{booktabs}\n") and r"$P(\alpha > 0)$" in latex
    firm = report.worlds.loc["ρ near -0.3, firmly", "alpha"]
    assert r"$> 0.999$" in latex and "world" not in latex
    assert rf"$\rho$ near $-0.3$, firmly & ${firm:.2f}$" in latex
    text = (folder / "report.md").read_text(encoding="utf-8")
    assert "| OLS | 3.26 | 2.93 to 3.59 |  | > 0.999 |" in text
    assert "e-" not in text.split("## What else would")[0].split("## Which")[1]
    assert "| prior | α | 95 % interval | ρ | P(α > 0) |" in text and "\n\n## Other priors" in text
    assert "reason" not in text


def test_numbers_have_no_negative_zero():
    assert (number(-0.004, 0.5), number(-0.5, 0.5), number(101_234.5, 22)) == ("0.00", "-0.50", "101,234")
    assert (percent(-1e-16), percent(-0.0004, 1), percent(-0.004, 1)) == ("0 %", "0.0 %", "-0.4 %")
