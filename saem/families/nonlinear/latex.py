"""What a nonlinear model says, as LaTeX."""

from __future__ import annotations

import ast

from saem.expressions.latex import escaped, latex_of, symbol, word
from saem.families.nonlinear.laws import Law
from saem.families.nonlinear.random_keys import Grouping
from saem.families.nonlinear.reading import Reading
from saem.families.nonlinear.written import Written


def equations(model: Written, reading: Reading, columns: frozenset[str]) -> list[str]:
    """See `saem.families.model.Model.equations`.

    Parameters
    ----------
    model : Written
    reading : Reading
        Of its texts.
    columns : frozenset of str
        All that it reads.
    """
    keys = list(model.outcome.texts)
    trees = dict(reading.texts())
    arguments = ", ".join(word(key) for key in keys if key != "log_density")
    lines = []
    if model.outcome.distribution is not None:
        trials = "" if model.outcome.trials is None else word(str(model.outcome.trials)) + ", "
        title = word(model.outcome.distribution.replace("_", " "))
        lines.append(rf"{word(model.response)} &\sim {title}\left({trials}{arguments}\right)")
    lines += [rf"{word(key)} &= {latex_of(trees[f'outcome.{key}'], columns | set(keys))}" for key in keys]
    if model.outcome.correlated is not None:
        lines.append(model.outcome.correlated.equation(word(model.response)))
    for name, text in model.linear.items():
        formula = escaped(text.partition("~")[2].strip())
        lines.append(rf"{symbol(name)} &= \underbrace{{x^{{\top}}\beta}}_{{\texttt{{{formula}}}}}")
    for name in reading.order:
        if name in reading.laws:
            lines.append(_law(name, reading.laws[name], model.random, columns))
        else:
            lines.append(rf"{symbol(name)} &= {latex_of(trees[f'individual.{name}'], columns)}")
    for block in model.random.correlated:
        scaled = {name: _scaled(name, reading.laws[name]) for name in block}
        lines += [
            rf"\operatorname{{corr}}({scaled[a]}, {scaled[b]}) &= {symbol(f'corr_{a}_{b}')}"
            for i, a in enumerate(block)
            for b in block[i + 1 :]
        ]
    return lines


def _law(name: str, law: Law, random: Grouping, columns: frozenset[str]) -> str:
    sd = f"{symbol(law.sd)}^{{2}}"
    if law.sd in random.sd:
        assert random.by is not None
        sds = [rf"{symbol(own)}^{{2}} & {word(random.by)} = {word(level)}" for level, own in random.sd[law.sd].items()]
        sd = r"\begin{cases}" + r" \\ ".join(sds) + r"\end{cases}"
    centre = latex_of(law.on_normal_scale(law.centre), columns)
    return rf"{_scaled(name, law)} &\sim \mathcal{{N}}\left({centre},\ {sd}\right)"


def _scaled(name: str, law: Law) -> str:
    """An individual parameter on the scale on which it is normal."""
    return latex_of(law.on_normal_scale(ast.Name(id=name)))
