"""Links between the treatment effect and the variances: their texts, their values solved for c2, and models with them.

The links of the recipes, and conservation over three forms of a peptide. A `scene` is a model of the means, with a
truth.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import product

import pandas as pd

import saem
from saem.errors import ModelError, listing, nearest

from .peptide import MODIFICATIONS, TREATMENTS, TRUTH, g, peptide_model

LN2 = math.log(2.0)
BORDER = 4.0 / LN2  # of C (1 - 2^d): up to it the posted link has one solution
RECIPES = {"posted": "peptide", "log2": "peptide_log2", "conservation": "peptide_conservation"}
NO_LINK = "none"
TWO_FORMS = "two_forms"  # conservation that forgets the third form
THIRD = "doubly modified"
THREE_FORMS = (
    "c2 == log2(exp(log(2)**2/2 * (sigma1**2 - sigma2**2)) * (1 + 2**alpha2 + 2**alpha3)"
    " / (2**b21 + 2**(alpha2 + b22) + 2**(alpha3 + b23)))"
)


@dataclass(frozen=True)
class Scene:
    """A model of the means of a peptide, and the truth about them.

    Attributes
    ----------
    effects : dict of str to float
        True interactions (and, of a third form, the effect of the modification).
    fixed : tuple of str
        Interactions that a fit holds at zero.
    links : tuple of str
        Links that determine all parameters here. What is taken for one by mistake is the first of the others.
    saturated : bool
        Whether these links restrict nothing: as many free means as cells of treatment and modification.
    modifications : tuple of str
        The forms, the unmodified one first.
    """

    effects: Mapping[str, float]
    fixed: tuple[str, ...]
    links: tuple[str, ...]
    saturated: bool = False
    modifications: tuple[str, ...] = field(default=MODIFICATIONS)


SCENES = {
    "saturated": Scene({"b21": 0.5, "b22": 1.2}, (), ("posted", "log2"), saturated=True),
    "null": Scene({"b21": -1.0, "b22": -1.0}, (), ("posted", "log2"), saturated=True),
    "border": Scene({"b21": 0.0, "b22": -5.0}, (), ("posted", "log2"), saturated=True),
    "interaction": Scene({"b21": 0.0, "b22": 1.2}, ("b21",), ("posted", "log2", "conservation")),
    "additive": Scene({"b21": 0.0, "b22": 0.0}, ("b21", "b22"), ("posted", "log2", "conservation")),
    "three_forms": Scene(
        {"b21": 0.0, "b22": 1.2, "alpha3": -0.5, "b23": -0.4},
        ("b21",),
        ("conservation", TWO_FORMS),
        modifications=(*MODIFICATIONS, THIRD),
    ),
}


def scene_named(name: str) -> Scene:
    """The scene of a name.

    Raises
    ------
    ModelError
        When there is none.
    """
    if name not in SCENES:
        raise ModelError(f"scene must be one of {listing(SCENES)}; got {name!r}{nearest(name, SCENES)}")
    return SCENES[name]


def total(x: Mapping[str, float], alphas: tuple[str, ...], effects: tuple[str, ...] = ()) -> float:
    """``sum_j 2^(alpha_j + b_2j)`` over the forms, the unmodified one (alpha_1 = 0) first."""
    heights = [0.0, *(x[name] for name in alphas)]
    moves = [x[name] for name in effects] or [0.0] * len(heights)
    return math.fsum(2.0 ** (alpha + b) for alpha, b in zip(heights, moves, strict=True))


def conserved(x: Mapping[str, float], alphas: tuple[str, ...], effects: tuple[str, ...]) -> float:
    """The c2 for which the expected total amount is the same in both treatments."""
    gain = LN2 / 2.0 * (x["sigma1"] ** 2 - x["sigma2"] ** 2)  # of the means of log-normal amounts, in powers of 2
    return gain + math.log2(total(x, alphas) / total(x, alphas, effects))


def c2_of(link: str, x: Mapping[str, float]) -> float:
    """The treatment effect that a link demands, at the other parameters; conservation is over the forms they name."""
    if link in ("posted", "log2"):
        posted = g(x["b21"], x["b22"], x["sigma1"], x["sigma2"])
        return posted if link == "posted" else math.log2(posted)
    if link == "conservation" and "b23" in x:
        return conserved(x, ("alpha2", "alpha3"), ("b21", "b22", "b23"))
    if link in ("conservation", TWO_FORMS):
        return conserved(x, ("alpha2",), ("b21", "b22"))
    raise ModelError(f"link must be one of {listing([*RECIPES, TWO_FORMS])}; got {link!r}")


def true_parameters(scene: str, link: str, sigma2: float, departure: float = 0.0) -> dict[str, float]:
    """All parameters, with c2 by `departure` above what the link demands.

    Raises
    ------
    ModelError
        For a departure in a saturated scene: other parameters would satisfy the link there, with the same means.
    """
    if departure and scene_named(scene).saturated:
        raise ModelError(
            f"departure must be 0 in the scene {scene!r}, where the link restricts nothing; got {departure}"
        )
    x = {name: TRUTH[name] for name in ("mu", "alpha2", "sigma1", "sigma")} | {"sigma2": sigma2}
    x |= scene_named(scene).effects
    return x | {"c2": c2_of(link, x) + departure}


@lru_cache(maxsize=64)
def model_of(scene: str, link: str) -> saem.Model:
    """The model of a scene under a link, or under none: then all means of the scene are free.

    Raises
    ------
    ModelError
        When the link does not determine the parameters.
    """
    own = scene_named(scene)
    if link not in (*own.links, NO_LINK):
        raise ModelError(f"the links of the scene {scene!r} are {listing(own.links)}; got {link!r}")
    text = THREE_FORMS if (scene, link) == ("three_forms", "conservation") else text_of(link)
    held = own.fixed or (("b21",) if link == NO_LINK else ())  # c2 and b21 act on the same cell
    return generating_model(scene).replace(
        constraints={} if text is None else {link: text}, fixed=dict.fromkeys(held, 0.0)
    )


def text_of(link: str) -> str | None:
    """The equation of a link between the parameters of two forms, as the recipe has it."""
    if link == NO_LINK:
        return None
    recipe = RECIPES["conservation" if link == TWO_FORMS else link]
    return peptide_model(recipe).constraints["g"]


@lru_cache(maxsize=8)
def generating_model(scene: str) -> saem.Model:
    """Every parameter of a scene, with no constraint and nothing fixed: to simulate from."""
    model = peptide_model().replace(constraints={})
    if THIRD not in scene_named(scene).modifications:
        return model
    third = f"modification == '{THIRD}'"
    more = {"alpha3": third, "b23": f"treatment == 'CCCP' and {third}"}
    assert isinstance(model.mean, dict)
    return model.replace(mean=model.mean | more)


def design_of(scene: str, replicates: int) -> pd.DataFrame:
    """A row for each form of the peptide in each of `replicates` clusters in each of two arms."""
    rows = product(TREATMENTS, range(1, replicates + 1), scene_named(scene).modifications)
    return pd.DataFrame(list(rows), columns=["treatment", "replicate", "modification"])


def solutions_of_posted(x: Mapping[str, float]) -> int:
    """How many parameters of the saturated model with the posted link have the means and variances of these.

    The roots of ``h(b) = b + C (1 + 2^(b + d)) / (1 + 2^b) = c2 + b21`` with ``d = b22 - b21``: one where
    ``a = C (1 - 2^d) <= 4/ln 2``; else three between the values of h where it turns, ``s (1 - s) = 1/(a ln 2)`` with
    ``s = 2^b / (1 + 2^b)``.
    """
    d = x["b22"] - x["b21"]
    c = math.exp(LN2**2 / 2.0 * (x["sigma2"] ** 2 - x["sigma1"] ** 2))
    steepness = c * (1.0 - 2.0**d)
    if steepness <= BORDER:
        return 1
    root = math.sqrt(1.0 - 4.0 / (steepness * LN2))
    turns = [math.log2(s / (1.0 - s)) for s in ((1.0 - root) / 2.0, (1.0 + root) / 2.0)]
    top, bottom = (b + c * (1.0 + 2.0 ** (b + d)) / (1.0 + 2.0**b) for b in turns)
    height = x["c2"] + x["b21"]
    if bottom < height < top:
        return 3
    return 2 if height in (bottom, top) else 1
