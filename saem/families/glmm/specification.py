"""Generalised linear mixed models: what a model file says."""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from saem.errors import ModelError
from saem.families.designed_model import DesignedModel, refuse_response
from saem.families.nonlinear import outcome_keys as nonlinear
from saem.specification.layout import Layout
from saem.specification.parameters import Parameters
from saem.specification.part import Part
from saem.specification.random_effects import RandomEffects


class Outcome(Part):
    """The distribution of the response given the linear predictor.

    Parameters
    ----------
    distribution : {"bernoulli", "binomial", "poisson"}
        0 or 1 with ``logit P(y = 1)``, a number of successes with ``logit p``, or a count with ``log`` of its mean,
        equal to the linear predictor.
    trials : str or int, optional
        Column with the number of trials of each row, or one number for all; for "binomial".
    success : str, optional
        The level of a response of text that counts as 1, all others as 0; for "bernoulli".
    """

    distribution: Literal["bernoulli", "binomial", "poisson"]
    trials: Any = None
    success: str | None = None

    @model_validator(mode="after")
    def _check(self) -> Outcome:
        assert self.row.about.is_whole  # it refuses what makes no sense of the trials
        if self.distribution != "bernoulli" and self.success is not None:
            raise ModelError(f"success is for bernoulli outcomes; this one is {self.distribution}")
        return self

    @property
    def link(self) -> str:
        """The function of the mean that is linear."""
        return "log" if self.distribution == "poisson" else "logit"

    @cached_property
    def row(self) -> nonlinear.Outcome:
        """The same as the nonlinear family has it, with the linear predictor ``eta``."""
        argument: dict[str, Any] = (
            {"rate": "exp(eta)"} if self.distribution == "poisson" else {"probability": "expit(eta)"}
        )
        return nonlinear.Outcome(distribution=self.distribution, trials=self.trials, **argument)


class GlmmModel(DesignedModel):
    """A generalised linear mixed model whose parameters may be tied by equations.

    Parameters
    ----------
    predictor : dict of str to str, or str
        Parameter -> row expression on which it acts; or a formula, ``"use ~ age + urban"``. An ``offset()`` of a
        formula is added to the linear predictor.
    outcome : Outcome or dict
    random : RandomEffects or dict
        Added to the linear predictor.
    family, response, cluster, constraints, fixed, priors
        As in `saem.families.model.Model`.

    Raises
    ------
    ModelError
        Listing all that is wrong.
    """

    family: str = "glmm"
    predictor: dict[str, str] | str
    outcome: Outcome
    random: RandomEffects = Field(default_factory=RandomEffects)
    fixed_part: ClassVar[str] = "predictor"

    @field_validator("predictor", mode="before")
    @classmethod
    def _check_predictor(cls, predictor: Any) -> Any:
        return cls.checked_design(predictor)

    def problems(self) -> list[str]:
        """See `saem.families.model.Model.problems`."""
        found = super().problems() + refuse_response("outcome.trials", str(self.outcome.trials), self.response)
        if self.outcome.success is not None and self.is_transformed:
            found.append("outcome.success is for a column as the response, not for a function of columns")
        return found

    @property
    def number_columns(self) -> tuple[str, ...]:
        """See `saem.families.model.Model.number_columns`."""
        return (self.outcome.trials,) if isinstance(self.outcome.trials, str) else ()

    def known_parameters(self) -> Parameters | None:
        """See `saem.families.model.Model.known_parameters`."""
        groups = self.random.known_levels()
        if isinstance(self.predictor, str) or groups is None:
            return None
        return Layout(tuple(self.predictor), self.random, groups, (), self.fixed).parameters

    def equations(self) -> list[str]:
        """See `saem.families.model.Model.equations`."""
        from saem.expressions.latex import word
        from saem.families.designed_latex import design_sum, random_lines, summed

        mean = r"\lambda" if self.outcome.link == "log" else "p"
        trials = "" if self.outcome.trials is None else word(str(self.outcome.trials)) + ", "
        law = rf"{word(self.response)} &\sim {word(self.outcome.distribution)}\left({trials}{mean}\right)"
        left = rf"\operatorname{{{self.outcome.link}}} {mean}"
        return [law, *summed(left, design_sum(self)), *random_lines(self.random)]
