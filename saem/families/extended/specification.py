"""Extended linear mixed models: what a model file says."""

from __future__ import annotations

import ast
from functools import cached_property
from typing import Any, ClassVar, cast

from pydantic import Field, field_validator, model_validator

from saem.errors import ExpressionError, ModelError
from saem.expressions.grammar import parse
from saem.expressions.quoting import Column
from saem.families.designed_model import DesignedModel, refuse_response
from saem.families.linear.specification import Residual
from saem.families.nonlinear import hints, trees
from saem.families.nonlinear.correlation import Correlation, CorrelationText
from saem.families.nonlinear.outcome_keys import Outcome
from saem.families.nonlinear.reading import Reading, name_nodes
from saem.specification.domains import SCALE, Domain
from saem.specification.layout import Layout
from saem.specification.parameters import Parameters
from saem.specification.part import sd_table
from saem.specification.random_effects import RandomEffects

RESIDUAL = "residual[]"  # stands for the parameters of residuals among those of means and random effects
MEANS = ("mean", "population_mean")  # what an expression of the SD may name beside columns and parameters


class ExtendedResidual(Residual):
    """Residuals whose standard deviation is an expression, that are correlated in a cluster, or have Student's t law.

    Parameters
    ----------
    sd : str or dict of str to str, optional
        As in the linear family; or an expression of parameters, of columns, of ``mean`` (the fitted value given the
        random effects), and of ``population_mean`` (without them), such as ``"sigma * abs(mean)**delta"``. A name is
        that of a column where the fixed part or a random term uses it, where it is compared with a text, where it
        stands in backticks, or is listed in `columns`; all others are parameters.
    columns : tuple of str
        Columns that `sd` names.
    correlation : str, optional
        ``"ar1(phi)"`` by the order of rows, ``"ar1(phi, time)"`` with whole numbers, gaps allowed, and ``phi`` of any
        sign; ``"exponential(range, time)"``, correlations ``exp(-gap / range)``; ``"compound(rho)"``, all alike, for
        clusters of few rows. Predictions do not use that new rows are correlated with observed ones.
    df : str or float, optional
        Residuals have Student's t law with so many degrees of freedom, a number or a parameter; `sd` is its scale. The
        gamma weights of the usual mixture of normals are integrated out by the density, which is better than to draw
        them. The likelihood becomes flat as a parameter of it grows, where residuals are normal: then leave it out.
    """

    columns: tuple[str, ...] = ()
    correlation: CorrelationText | None = None
    df: str | float | None = None

    @field_validator("sd", mode="before")
    @classmethod
    def _check_sd_type(cls, sd: Any) -> Any:
        return sd if isinstance(sd, str) else sd_table(sd)

    @model_validator(mode="after")
    def _check_more(self) -> ExtendedResidual:
        if self.correlation is not None:
            assert self.correlated is not None
            if self.df is not None:
                raise ModelError("correlation and df do not go together: correlated residuals are normal; keep one")
        if isinstance(self.sd, str):
            try:
                parse(self.sd, large=True)
            except ExpressionError as error:
                raise ModelError(f"sd: {error}") from None
        if isinstance(self.df, float | int) and not self.df > 0:
            raise ModelError(f"df must be positive; got {self.df:g}")
        return self

    @cached_property
    def correlated(self) -> Correlation | None:
        """The correlation, parsed."""
        return None if self.correlation is None else Correlation.read(self.correlation)

    @cached_property
    def tree(self) -> ast.expr | None:
        """The expression of the SD; None where there are names by level."""
        return None if self.by is not None else parse(self.sd if isinstance(self.sd, str) else "sigma", large=True).body


class ExtendedModel(DesignedModel):
    """A linear mixed model with a variance function, serial correlation or Student-t residuals.

    Parameters
    ----------
    mean : dict of str to str, or str
        Parameter -> row expression on which it acts; or a formula, ``"y ~ treatment * modification"``.
    random : RandomEffects or dict
    residual : ExtendedResidual or dict
    family, response, cluster, constraints, fixed, priors
        As in `saem.families.model.Model`.

    Raises
    ------
    ModelError
        Listing all that is wrong.
    """

    also_reads: ClassVar[tuple[str, ...]] = ("linear",)
    family: str = "extended"
    mean: dict[str, str] | str
    random: RandomEffects = Field(default_factory=RandomEffects)
    residual: ExtendedResidual = Field(default_factory=ExtendedResidual)
    fixed_part: ClassVar[str] = "mean"

    @field_validator("mean", mode="before")
    @classmethod
    def _check_mean(cls, mean: Any) -> Any:
        return cls.checked_design(mean)

    def problems(self) -> list[str]:
        """See `saem.families.model.Model.problems`."""
        found = super().problems() + refuse_response("residual.weights", self.residual.weights, self.response)
        if self.response in (*self.sd_columns, *self.response_columns[1:]) or self.response in self.residual.columns:
            found.append(f"residual.sd must not use the response {self.response!r} itself; use mean")
        return found

    @cached_property
    def sd_columns(self) -> tuple[str, ...]:
        """Columns that the expression of the SD names."""
        tree = self.residual.tree
        if tree is None:
            return ()
        known = {*super().design_columns, *self.cluster, *self.residual.columns}
        for node in ast.walk(tree):
            if isinstance(node, ast.Compare):
                sides = [node.left, *node.comparators]
                if any(isinstance(c, ast.Constant) and isinstance(c.value, str) for s in sides for c in ast.walk(s)):
                    known |= {side.id for side in sides if isinstance(side, ast.Name)}
        names = [n.id for n in name_nodes(tree) if isinstance(n, Column) or (n.id in known and n.id not in MEANS)]
        return tuple(dict.fromkeys(names))

    @cached_property
    def sd_parameters(self) -> tuple[str, ...]:
        """Parameters that the expression of the SD names."""
        tree = self.residual.tree
        assert tree is not None
        names = [n.id for n in name_nodes(tree) if not isinstance(n, Column)]
        return tuple(dict.fromkeys(name for name in names if name not in (*self.sd_columns, *MEANS)))

    @cached_property
    def design_columns(self) -> tuple[str, ...]:
        """See `saem.families.model.Model.design_columns`."""
        return tuple(dict.fromkeys([*super().design_columns, *self.sd_columns]))

    @property
    def group_columns(self) -> tuple[str, ...]:
        """The columns of variance and of residual groups."""
        return tuple(by for by in (self.random.by, self.residual.by) if by is not None)

    @property
    def number_columns(self) -> tuple[str, ...]:
        """See `saem.families.model.Model.number_columns`."""
        said = self.residual.correlated
        names = (self.residual.weights, None if said is None else said.time)
        return tuple(name for name in names if name is not None)

    def equations(self) -> list[str]:
        """See `saem.families.model.Model.equations`."""
        from saem.expressions.latex import latex_of, symbol, word
        from saem.families.designed_latex import design_sum, group_words, random_lines, summed

        residual, levels = self.residual, self.residual.known_levels()
        lines = [*summed(word(self.response), [*design_sum(self), r"\varepsilon"]), *random_lines(self.random)]
        by = "" if residual.weights is None else f" / {word(residual.weights)}"
        df = symbol(residual.df) if isinstance(residual.df, str) else f"{residual.df:g}" if residual.df else ""
        law = r"\mathcal{N}" if not df else f"t_{{{df}}}"
        for level in ("level",) if levels is None or residual.tree is not None else levels:
            where = "" if residual.by is None else group_words(residual.by, None if levels is None else level)
            sd = symbol(residual.sd_name(level if residual.by else None))
            if residual.tree is not None:
                sd = rf"\left({latex_of(residual.tree, frozenset(self.sd_columns))}\right)"
            lines.append(rf"\varepsilon &\sim {law}\left(0,\ {sd}^{{2}}{by}\right){where}")
        return [*lines, *([] if residual.correlated is None else [residual.correlated.equation(r"\varepsilon")])]

    def known_parameters(self) -> Parameters | None:
        """See `saem.families.model.Model.known_parameters`."""
        groups, residuals = self.random.known_levels(), self.residual.known_levels()
        if isinstance(self.mean, str) or groups is None or residuals is None:
            return None
        return layout_of(self, tuple(self.mean), groups, residuals, 3)[1]


def outcome_of(model: ExtendedModel) -> Outcome:
    """The same outcome as the nonlinear family has it."""
    df = model.residual.df
    keys: dict[str, Any] = {"mean": "mean", "sd": "sd"} | ({} if df is None else {"df": df})
    return Outcome(distribution="normal" if df is None else "student", **keys)


def layout_of(
    model: ExtendedModel, means: tuple[str, ...], groups: tuple[str, ...], residuals: tuple[str, ...], largest: int
) -> tuple[Layout, Parameters]:
    """Where the parameters of means and random effects act, and all parameters; those of residuals are the last.

    Parameters
    ----------
    model : ExtendedModel
    means, groups, residuals : tuple of str
        Mean parameters, levels of the variance groups, and of the residual groups.
    largest : int
        Rows of the largest cluster.
    """
    residual = model.residual
    more: dict[str, Domain] = {}
    if residual.tree is None:
        more |= dict.fromkeys(residual.sd_names(residuals), SCALE)
    else:
        names = (*model.sd_parameters, *((residual.df,) if isinstance(residual.df, str) else ()))
        arguments: dict[str, ast.expr] = {"sd": residual.tree}
        if isinstance(residual.df, str):
            arguments["df"] = trees.name(residual.df)
        reading = Reading({}, {}, arguments, frozenset(model.sd_columns), mentioned=names)

        class Said:
            outcome = outcome_of(model)

        more |= hints.domains_of(cast(Any, Said), reading)
    if residual.correlated is not None:
        if residual.correlated.parameter in more:
            raise ModelError(f"the parameter {residual.correlated.parameter!r} is in residual.sd and in correlation")
        more[residual.correlated.parameter] = residual.correlated.domain(largest)
    free = {name: value for name, value in model.fixed.items() if name not in more}
    layout = Layout(means, model.random, groups, (RESIDUAL,), free)  # one that is free, if all others are fixed
    own = layout.parameters.names[:-1]
    slots = list(zip(own, layout.parameters.domains, strict=False))
    slots += [(name, domain) for name, domain in more.items() if name not in own]
    return layout, Parameters.build(slots, model.fixed)
