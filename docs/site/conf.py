"""How Sphinx makes the site; docs/make_site.py gathers the pages and calls it."""

import re

from latex2mathml.converter import convert

project = "mtlnas_lab"
copyright = "the authors of mtlnas_lab, Apache-2.0"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "sphinx_book_theme"
html_title = "MTL-NAS lab"
html_static_path = ["_static"]
html_extra_path = ["extra"]
html_css_files = ["site.css"]
html_js_files = ["site.js"]
html_show_sphinx = False
html_copy_source = False
html_context = {"default_mode": "auto"}
html_theme_options = {
    "navbar_persistent": [],
    "show_toc_level": 2,
    "use_download_button": False,
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
html_math_renderer = "mathml"

# What a notebook has saved is shown; nothing is run, and no script of a widget is fetched.
nb_execution_mode = "off"
nb_merge_streams = True
nb_ipywidgets_js = {}
myst_enable_extensions = ["dollarmath", "attrs_inline"]
myst_heading_anchors = 3
suppress_warnings = ["myst.header", "misc.highlighting_failure", "ref.python"]

autodoc_member_order = "bysource"
default_role = "py:obj"  # a link where there is such a name, else code
napoleon_numpy_docstring = False
add_module_names = False

SECTION = re.compile(r"^(Args|Returns|Raises|Example|Yields|Attributes):$")


def as_rst(app, what, name, obj, options, lines):
    """Docstrings are plain text with `code`: bars and stars mean themselves, and what is indented is code."""
    if what == "module":  # autodoc has taken away the indents of what follows the first line
        lines[:] = obj.__doc__.expandtabs().splitlines()
    text, section, before = [], False, ""
    for line in lines:
        if SECTION.match(line):
            section = True
        elif line and not line.startswith(" "):
            section = False
        code = line.startswith("    ") and not section
        if code and not before.strip():
            last = next((k for k in range(len(text) - 1, -1, -1) if text[k].strip()), None)
            if last is not None and not text[last].startswith("    "):
                text += ["::", ""]
        text.append(line if code or ">>>" in line else re.sub(r"(?<!\\)([|*])", r"\\\1", line))
        before = line
    lines[:] = text


def mathml(self, node):
    display = "block" if node.tagname == "math_block" else "inline"
    self.body.append(convert(node.astext(), display=display))
    raise_skip()


def raise_skip():
    from docutils import nodes

    raise nodes.SkipNode


def setup(app):
    app.connect("autodoc-process-docstring", as_rst, priority=100)  # before napoleon
    app.add_html_math_renderer("mathml", (mathml, None), (mathml, None))
