"""What models with a design say, as LaTeX."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from saem.expressions.grammar import parse
from saem.expressions.latex import escaped, latex_of, symbol, word
from saem.families.designed_model import DesignedModel
from saem.specification.grouping import GroupingFactor
from saem.specification.random_effects import RandomEffects

IN_A_LINE = 3  # terms of a sum
PLACE = "Factor"  # stands for what is written first


def design_sum(model: DesignedModel) -> list[str]:
    """The terms of the fixed and of the random part."""
    return [*fixed_sum(model), *random_sum(model, model.random)]


def fixed_sum(model: DesignedModel) -> list[str]:
    """The terms of the fixed part."""
    if isinstance(model.design, str):
        right = escaped(model.design[model.design.index("~") + 1 :].strip())
        return [rf"\underbrace{{x^{{\top}}\beta}}_{{\texttt{{{right}}}}}"]
    columns = frozenset(model.design_columns)
    return [times(symbol(name), text, columns) for name, text in model.design.items()]


def random_sum(model: DesignedModel, random: RandomEffects) -> list[str]:
    """The terms of some random effects."""
    columns = frozenset(model.design_columns)
    return [times(effect(random, term), text, columns) for term, text in random.terms.items()]


def times(factor: str, text: str, columns: frozenset[str]) -> str:
    """A parameter or random effect by the rows on which it acts; conditions stand in brackets."""
    if text.strip() == "1":
        return factor
    return latex_of(ast.BinOp(ast.Name(PLACE), ast.Mult(), parse(text).body), columns).replace(symbol(PLACE), factor, 1)


def effect(random: RandomEffects, term: str) -> str:
    """The symbol of a random effect."""
    of = [random.name] if isinstance(random, GroupingFactor) else []
    of += [] if len(random.terms) == 1 else [term]
    return rf"\theta_{{{', '.join(map(word, of))}}}" if of else r"\theta"


def summed(left: str, terms: Sequence[str]) -> list[str]:
    """Lines of a sum, a few terms each, the last of which is not alone."""
    ends = range(IN_A_LINE, len(terms) - 1, IN_A_LINE)
    parts = [" + ".join(terms[i:j]) for i, j in zip([0, *ends], [*ends, len(terms)], strict=True)]
    return [rf"{left} &= {parts[0]}", *(rf"&\quad + {part}" for part in parts[1:])]


def random_lines(random: RandomEffects) -> list[str]:
    """The law of the random effects, group by group."""
    levels = random.known_levels()
    lines = []
    for level in ("level",) if levels is None else levels:
        named = None if random.by is None else level
        where = "" if random.by is None else group_words(random.by, None if levels is None else level)
        for term, sd in zip(random.terms, random.sd_names(named), strict=True):
            lines.append(normal(effect(random, term), sd, where))
        if random.covariance == "full":
            terms = list(random.terms)
            lines += [
                rf"\operatorname{{corr}}({effect(random, a)}, {effect(random, b)}) "
                rf"&= {symbol(random.corr_name(a, b, named))}{where}"
                for i, a in enumerate(terms)
                for b in terms[i + 1 :]
            ]
    return lines


def normal(left: str, sd: str, where: str = "", by: str = "") -> str:
    """A normal law with the mean 0 and a named standard deviation."""
    return rf"{left} &\sim \mathcal{{N}}\left(0,\ {symbol(sd)}^{{2}}{by}\right){where}"


def group_words(by: str, level: str | None) -> str:
    """For which rows or clusters a line holds; None for each level."""
    if level is None:
        return rf"\quad \text{{for each }} {word(by)}"
    return rf"\quad \text{{where }} {word(by)} = {word(level)}"
