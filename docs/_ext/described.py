"""Figures of the gallery, each with the words that stand before it: ``# sphinx_gallery_alt = "what is seen"``."""

from __future__ import annotations

import re
from ast import literal_eval
from typing import Any
from weakref import WeakSet

from sphinx.errors import ExtensionError

WORDS = re.compile(r"^# sphinx_gallery_alt = (.+)$", re.M)
DPI = 120
DRAWN: WeakSet[Any] = WeakSet()  # what examples keep in variables is shown once


def described_figures(block: Any, variables: dict[str, Any], config: dict[str, Any]) -> str:
    """Save the open figures of a block; each must have its words, for those who do not see it."""
    import matplotlib.pyplot as plt
    from matplotlib.figure import Figure
    from sphinx_gallery.scrapers import figure_rst

    words = [literal_eval(found) for found in WORDS.findall(block[1])]
    figures = [plt.figure(number) for number in plt.get_fignums()]
    kept = {id(one): one for one in variables["example_globals"].values() if type(one) is Figure and one not in DRAWN}
    figures += [one for one in kept.values() if one not in figures]
    DRAWN.update(figures)
    if len(words) != len(figures):
        raise ExtensionError(
            f"{variables['src_file']}: {len(figures)} figures and {len(words)} lines "
            f"'# sphinx_gallery_alt = ..' in\n{block[1]}"
        )
    parts = []
    for figure, text in zip(figures, words, strict=True):
        path = variables["image_path_iterator"].next()
        figure.savefig(path, dpi=DPI)
        parts.append(figure_rst([path], config["src_dir"], fig_titles=text))
    plt.close("all")
    return "".join(parts)
