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

import saem  # noqa: E402

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
exclude_patterns = ["_build", "gallery/*.ipynb", "notebooks"]
nitpicky = True
suppress_warnings = ["config.cache"]  # the gallery's functions cannot be kept between builds
language = "en"

# Pages

source_suffix = {".rst": "restructuredtext", ".md": "markdown"}
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath", "fieldlist", "attrs_inline"]
myst_heading_anchors = 3
copybutton_exclude = ".linenos, .gp, .go"
copybutton_selector = "div:not(.run-output-block) > div.highlight pre"

# Reference

autosummary_generate = True
autosummary_ignore_module_all = False
autodoc_typehints = "none"  # shapes and units are in the docstrings
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
numpydoc_xref_param_type = False
default_role = "code"
nitpick_ignore_regex: list[tuple[str, str]] = []

# Gallery


def _quiet(block: object, block_vars: object, gallery_conf: object) -> None:
    """Close what a figure leaves open."""


sphinx_gallery_conf = {
    "examples_dirs": str(ROOT / "examples" / "gallery"),
    "gallery_dirs": "gallery",
    "filename_pattern": r"plot_",
    "within_subsection_order": "FileNameSortKey",
    "download_all_examples": False,
    "show_memory": False,
    "show_signature": False,
    "abort_on_example_error": True,
    "remove_config_comments": True,
    "doc_module": ("saem",),
    "backreferences_dir": "reference/backreferences",
    "min_reported_time": 1000,
    "image_scrapers": ("matplotlib",),
    "reset_modules": ("matplotlib",),
    "matplotlib_animations": False,
}

# Look

html_theme = "pydata_sphinx_theme"
html_title = "saem"
html_static_path = ["_static"]
html_css_files = ["saem.css"]
html_copy_source = False
html_show_sourcelink = False
html_sidebars = {"index": []}
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
