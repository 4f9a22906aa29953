"""How the site is built: `make docs`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path[:0] = [str(ROOT), str(HERE / "_ext"), str(ROOT / "examples")]
os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from numpydoc import xref  # noqa: E402

import saem  # noqa: E402

xref.DEFAULT_LINKS.clear()  # those of other projects: the site is built, and read, without a network

project = "saem"
author = "the saem developers"
copyright = author
version = release = saem.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "myst_parser",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "command_line",
    "mathml",
    "paper_numbers",
    "running",
]
exclude_patterns = ["_build", "gallery/**.ipynb", "notebooks"]
nitpicky = True
suppress_warnings = ["config.cache"]  # the gallery's functions cannot be kept between builds
language = "en"

# Pages

source_suffix = {".rst": "restructuredtext", ".md": "markdown"}
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath", "fieldlist", "attrs_inline"]
myst_heading_anchors = 3
copybutton_selector = "div.highlight pre:not(.run-output-block pre)"

# Reference

autosummary_generate = True
autosummary_ignore_module_all = False
autodoc_typehints = "none"  # shapes and units are in the docstrings
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
numpydoc_xref_param_type = True
numpydoc_xref_aliases = {name: f"saem.{name}" for name in ("Fit", "Model", "Target")} | {
    "Comparison": "saem.comparison.Comparison",
    **{
        name: f"saem.errors.{name}"
        for name in ("ModelError", "DataError", "ConstraintError", "FitError", "StorageError")
    },
}
numpydoc_xref_ignore = "all"
default_role = "obj"  # names in docstrings are links where there is a page, and code elsewhere
nitpick_ignore_regex = [("py:obj", "(?s).*")]
autosummary_filename_map = {"saem.Fit": "saem.Fit-class"}  # not the file of saem.fit where case does not count

# Gallery

sphinx_gallery_conf = {
    "examples_dirs": "../examples/gallery",
    "gallery_dirs": "gallery",
    "filename_pattern": r"plot_",
    "subsection_order": [f"../examples/gallery/{name}" for name in ("ties", "families", "trust", "methods")],
    "within_subsection_order": "ExampleTitleSortKey",
    "download_all_examples": False,
    "show_memory": False,
    "show_signature": False,
    "write_computation_times": False,
    "abort_on_example_error": True,
    "remove_config_comments": True,
    "doc_module": ("saem",),
    "backreferences_dir": "reference/backreferences",
    "min_reported_time": 1000,
    "capture_repr": ("_repr_html_",),
    "image_scrapers": ("described.described_figures",),
    "reset_modules": ("matplotlib",),
}

# Look

html_theme = "pydata_sphinx_theme"
html_title = "saem"
html_static_path = ["_static"]
html_css_files = ["saem.css"]
html_copy_source = False
html_show_sourcelink = False
html_sidebars: dict[str, list[str]] = {"index": [], "how-to": []}
html_theme_options = {
    "logo": {"text": "saem"},
    "show_prev_next": True,
    "navigation_with_keys": False,
    "header_links_before_dropdown": 6,
    "footer_start": ["copyright"],
    "footer_end": ["theme-version"],
    "secondary_sidebar_items": ["page-toc"],
    "back_to_top_button": True,
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
html_context = {"default_mode": "auto"}
templates_path = ["_templates"]
html_math_renderer = "mathml"


def signature_of(app, what, name, value, options, signature, returned):  # type: ignore[no-untyped-def]
    """No arguments of classes that only saem makes: fields are told of in words."""
    made = name.startswith(("saem.inference.", "saem.fitting.", "saem.comparison.")) or name == "saem.Fit"
    return ("", returned) if what == "class" and made else None


def setup(app):  # type: ignore[no-untyped-def]
    app.connect("autodoc-process-signature", signature_of)
