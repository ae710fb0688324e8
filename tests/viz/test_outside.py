"""Other programs take our files: pdflatex, a browser. Each test skips where its program is missing."""

import re
import shutil
import subprocess

import pytest
from viz_fakes import HOSTILE, alphas, save, space

from mtlnas_lab.analysis.edge_table import explain, to_latex
from mtlnas_lab.core.architecture import derive


@pytest.mark.browser
def test_html_answers_in_a_browser(tmp_path):
    chromium = shutil.which("chromium")
    if not chromium:
        pytest.skip("there is no chromium")
    pages = [
        save(tmp_path / str(i), names, formats=("html",))["html"]
        for i, names in enumerate((None, HOSTILE[:2]))
    ]
    sync = pytest.importorskip("playwright.sync_api")
    with sync.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page()
        complaints = []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        for file in pages:
            page.goto(file.as_uri())
            assert page.locator("tbody tr").count() == 48
            page.locator("#level").fill("0.9")
            shown = page.locator("g[id^=edge-]:not(.gone)").count()
            assert 0 < shown < 24
            page.locator("#level").fill("0")
            page.locator("#faint").uncheck()
            assert page.locator("g[id^=edge-]:not(.gone)").count() < 48
            page.locator("#node-1-6").hover()
            assert "256 channels" in page.locator("#say").inner_text()
            assert page.locator("g.dim").count() > 40
        browser.close()
    assert not complaints


@pytest.mark.filterwarnings("ignore::mtlnas_lab.viz.style.PictureWarning")  # if no font has them
@pytest.mark.parametrize("form", ["tex", "tikz"])
def test_tikz_compiles(form, tmp_path):
    pdflatex = shutil.which("pdflatex")
    if not pdflatex:
        pytest.skip(
            "pdflatex is not installed; Debian has it in texlive-latex-base and texlive-pictures"
        )
    files = save(
        tmp_path, HOSTILE, tasks=5, formats=("tikz",), style="paper-double", title="100 % & more_"
    )
    source = files["tex"]
    if form == "tikz":
        source = tmp_path / "paper.tex"
        source.write_text(
            r"\documentclass{article}\usepackage{tikz}\textheight=30cm\textwidth=30cm\begin{document}A"
            r"\input{fusion_graph.tikz}B\end{document}"
        )
    command = [pdflatex, "-interaction=nonstopmode", "-halt-on-error", source.name]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True)
    out = done.stdout.decode(errors="replace")
    assert done.returncode == 0 and "(1 page" in out, out[-1500:]
    if form == "tex":
        box = re.search(
            rb"MediaBox ?\[ ?0 0 ([\d.]+) ([\d.]+)", source.with_suffix(".pdf").read_bytes()
        )
        if box:
            assert float(box[1]) / 72 * 25.4 == pytest.approx(178, abs=0.1)


def test_the_table_compiles(tmp_path):
    pdflatex, kpsewhich = shutil.which("pdflatex"), shutil.which("kpsewhich")
    if (
        not pdflatex
        or not kpsewhich
        or subprocess.run([kpsewhich, "booktabs.sty"], capture_output=True).returncode
    ):
        pytest.skip(
            "pdflatex or booktabs is not installed; Debian has them in texlive-latex-base, texlive-latex-recommended"
        )
    two = space(names=HOSTILE)
    found = derive(two, alphas(two))
    effect = {
        str(edge): {HOSTILE[0]: {"miou": -0.004}, HOSTILE[1]: {"mean_angle": 0.3}}
        for edge in found.edges[:3]
    }
    (tmp_path / "table.tex").write_text(
        to_latex(explain(found, effect, dict.fromkeys(effect, 0.01))), encoding="utf-8"
    )
    (tmp_path / "paper.tex").write_text(
        r"\documentclass{article}\usepackage[T1]{fontenc}\usepackage{booktabs}"
        r"\begin{document}\input{table}\end{document}"
    )
    command = [pdflatex, "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True)
    assert done.returncode == 0, done.stdout.decode(errors="replace")[-1500:]
