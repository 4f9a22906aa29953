"""What a nonlinear model says, as LaTeX."""

from __future__ import annotations

import ast

from saem.expressions.latex import escaped, latex_of, symbol, word
from saem.families.nonlinear.specification import NonlinearModel


def equations(model: NonlinearModel) -> list[str]:
    """See `saem.families.model.Model.equations`."""
    reading = model.reading
    columns = frozenset(model.all_columns)
    keys = list(model.outcome.texts)
    trees = dict(reading.texts())
    arguments = ", ".join(word(key) for key in keys if key != "log_density")
    lines = []
    if model.outcome.distribution is not None:
        trials = "" if model.outcome.trials is None else word(str(model.outcome.trials)) + ", "
        title = word(model.outcome.distribution.replace("_", " "))
        lines.append(rf"{word(model.response)} &\sim {title}\left({trials}{arguments}\right)")
    lines += [rf"{word(key)} &= {latex_of(trees[f'outcome.{key}'], columns | set(keys))}" for key in keys]
    for name, text in model.linear.items():
        formula = escaped(text.partition("~")[2].strip())
        lines.append(rf"{symbol(name)} &= \underbrace{{x^{{\top}}\beta}}_{{\texttt{{{formula}}}}}")
    for name in reading.order:
        if name in reading.laws:
            lines.append(_law(model, name, columns))
        else:
            lines.append(rf"{symbol(name)} &= {latex_of(trees[f'individual.{name}'], columns)}")
    for block in model.random.correlated:
        lines += [
            rf"\operatorname{{corr}}({_scaled(model, a)}, {_scaled(model, b)}) &= {symbol(f'corr_{a}_{b}')}"
            for i, a in enumerate(block)
            for b in block[i + 1 :]
        ]
    return lines


def _law(model: NonlinearModel, name: str, columns: frozenset[str]) -> str:
    law = model.reading.laws[name]
    sd = f"{symbol(law.sd)}^{{2}}"
    if law.sd in model.random.sd:
        assert model.random.by is not None
        sds = [
            rf"{symbol(own)}^{{2}} & {word(model.random.by)} = {word(level)}"
            for level, own in model.random.sd[law.sd].items()
        ]
        sd = r"\begin{cases}" + r" \\ ".join(sds) + r"\end{cases}"
    centre = latex_of(law.on_normal_scale(law.centre), columns)
    return rf"{_scaled(model, name)} &\sim \mathcal{{N}}\left({centre},\ {sd}\right)"


def _scaled(model: NonlinearModel, name: str) -> str:
    """An individual parameter on the scale on which it is normal."""
    return latex_of(model.reading.laws[name].on_normal_scale(ast.Name(id=name)))
