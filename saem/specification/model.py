"""What a model is, from Python or from a TOML file."""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, Strict, field_validator, model_validator

from saem.errors import ConstraintError, ModelError, listing, nearest
from saem.expressions.constraint import MAX_CONSTRAINTS, parameters_of
from saem.expressions.grammar import MAX_NAME
from saem.expressions.rows import row_expression
from saem.families.linear.layout import Slots
from saem.families.linear.random_parts import Part, RandomEffects, Residual, row_table
from saem.specification.formula import read, readable
from saem.specification.modelfile import read_toml, text_of
from saem.specification.parameters import Parameters
from saem.specification.priors import parse_prior, problems_of

MAX_MEANS = 200

_Finite = Annotated[float, Strict(), Field(allow_inf_nan=False)]


class Model(Part):
    """A mixed-effects model whose means and standard deviations may be tied by equations.

    Parameters
    ----------
    family : {"linear"}
    response : str
        Column of the response; may be left out when `mean` is a formula that names it. Of ``log(y) ~ x`` it is
        ``"log(y)"``: the likelihood, and all that is predicted, is on that scale.
    cluster : str or sequence of str
        Columns whose combinations are the clusters.
    mean : dict of str to str, or str
        Parameter -> row expression on which it acts; or a formula, ``"y ~ treatment * modification"``.
    random : RandomEffects or dict
    residual : Residual or dict
    constraints : dict of str to str
        Name -> ``"left == right"`` between any parameters.
    fixed : dict of str to float
        Parameters that are held at a value.
    priors : dict of str to str
        Parameter -> ``"distribution(numbers)"``, for method "bayes" (`saem.specification.priors`); those that are not
        named have defaults. Other methods do not use them.

    Raises
    ------
    ModelError
        Listing all that is wrong.
    """

    family: Literal["linear"] = "linear"
    response: str = Field(min_length=1)
    cluster: tuple[Annotated[str, Field(min_length=1)], ...] = Field(min_length=1)
    mean: dict[str, str] | str
    random: RandomEffects = Field(default_factory=RandomEffects)
    residual: Residual = Field(default_factory=Residual)
    constraints: dict[str, str] = Field(default_factory=dict)
    fixed: dict[str, _Finite] = Field(default_factory=dict)
    priors: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _response_of_formula(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("mean"), str) and "response" not in data:
            formula = readable(data["mean"])
            if formula is None:  # what is wrong with it is said by the check of `mean`
                return {**data, "response": "unknown"}
            return data if formula.response is None else {**data, "response": formula.response}
        return data

    @field_validator("cluster", mode="before")
    @classmethod
    def _one_or_many(cls, cluster: Any) -> Any:
        return (cluster,) if isinstance(cluster, str) else cluster

    @field_validator("cluster")
    @classmethod
    def _check_cluster(cls, cluster: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(cluster)) != len(cluster):
            raise ModelError(f"must not name a column twice; got {listing(cluster)}")
        return cluster

    @field_validator("mean", mode="before")
    @classmethod
    def _check_mean(cls, mean: Any) -> Any:
        if isinstance(mean, str):
            read(mean)
            return mean
        return row_table(mean, "a mean parameter", MAX_MEANS)

    @field_validator("constraints")
    @classmethod
    def _check_constraints(cls, constraints: dict[str, str]) -> dict[str, str]:
        if len(constraints) > MAX_CONSTRAINTS:
            raise ConstraintError(f"a model may have at most {MAX_CONSTRAINTS} constraints; got {len(constraints)}")
        problems = []
        for name, text in constraints.items():
            if not name or len(name) > MAX_NAME or not name.isprintable():
                problems.append(f"a constraint needs a short printable name; got {name[:MAX_NAME]!r}")
            try:
                parameters_of(name, text)
            except ConstraintError as error:
                problems.append(str(error))
        if problems:
            raise ConstraintError("; ".join(problems), problems)
        return constraints

    @field_validator("priors")
    @classmethod
    def _check_priors(cls, priors: dict[str, str]) -> dict[str, str]:
        problems = []
        for name, text in priors.items():
            try:
                parse_prior(text)
            except ModelError as error:
                problems.append(f"{name[:MAX_NAME]}: {error}")
        if problems:
            raise ModelError("; ".join(problems), problems)
        return priors

    @model_validator(mode="after")
    def _check_together(self) -> Model:
        problems: list[str] = []
        if isinstance(self.mean, str):
            formula = read(self.mean)
            if formula.response is not None and formula.response != self.response:
                problems.append(
                    f"response is {self.response!r}, but the formula {self.mean!r} says {formula.response!r}"
                )
            made_of = self.response_columns  # a change may well depend on what it is measured from
            if len(made_of) == 1 and made_of[0] in formula.columns:
                problems.append(f"mean must not use the response {made_of[0]!r} itself; got {self.mean!r}")
        else:
            for name, text in self.mean.items():
                if self.response in row_expression(text).columns:
                    problems.append(f"mean.{name} must not use the response {self.response!r} itself; got {text!r}")
        if self.residual.weights == self.response:
            problems.append(f"residual.weights must not be the response {self.response!r} itself")
        names: tuple[str, ...] | None = None
        parameters: Parameters | None = None
        try:
            parameters = self._known_parameters()
            names = None if parameters is None else parameters.names
        except ModelError as error:
            problems.append(str(error))
        for constraint, text in self.constraints.items():
            used = parameters_of(constraint, text)
            unknown = [] if names is None else [name for name in used if name not in names]
            if unknown and names is not None:
                problems.append(
                    f"constraint {constraint!r} names {unknown[0]!r}{nearest(unknown[0], names)}, which is no "
                    f"parameter; the parameters are {listing(names, 20)}"
                )
            elif all(name in self.fixed for name in used):
                problems.append(
                    f"constraint {constraint!r} involves only fixed parameters ({listing(used)}); "
                    "remove it, or free one of them in [fixed]"
                )
        if parameters is not None:
            found = problems_of(self.priors, parameters, self.constraints)
            problems += [f"priors.{name}: {problem}" for name, problem in found]
        if problems:
            raise ModelError("; ".join(problems), problems)
        return self

    @property
    def is_transformed(self) -> bool:
        """Whether the response is a function of columns, such as ``log(y)``, that the formula states."""
        return isinstance(self.mean, str) and self.response_columns != (self.response,)

    @property
    def response_columns(self) -> tuple[str, ...]:
        """The columns that the response is made of."""
        formula = read(self.mean) if isinstance(self.mean, str) else None
        if formula is None or formula.left is None:
            return (self.response,)
        return formula.response_columns

    def plain(self) -> Model:
        """The same model of a column that holds the response on the model's scale, and has its name."""
        if not self.is_transformed:
            return self
        assert isinstance(self.mean, str)
        return self.replace(mean=self.mean[self.mean.index("~") :])

    @property
    def parameter_names(self) -> tuple[str, ...] | None:
        """All parameters in order; None where they depend on the levels in the data."""
        parameters = self._known_parameters()
        return None if parameters is None else parameters.names

    def _known_parameters(self) -> Parameters | None:
        """The parameters; None where they depend on the levels in the data."""
        groups, residuals = self.random.known_levels(), self.residual.known_levels()
        if isinstance(self.mean, str) or groups is None or residuals is None:
            return None
        return Slots(self, tuple(self.mean), groups, residuals).parameters

    @classmethod
    def from_toml(cls, path: str | Path) -> Model:
        """Read a model file.

        Parameters
        ----------
        path : str or Path

        Returns
        -------
        Model

        Raises
        ------
        ModelError
            If there is no such file, or it is no valid model; lists all mistakes.
        """
        return cls.from_text(text_of(Path(path)), source=str(path))

    @classmethod
    def from_text(cls, text: str, source: str = "the model") -> Model:
        """Read a model from the text of a model file.

        Parameters
        ----------
        text : str
            TOML.
        source : str
            Where it came from, for messages.

        Returns
        -------
        Model
        """
        data = read_toml(text, source)
        try:
            return cls(**data)
        except ModelError as error:
            mistakes = "\n".join(f"  - {problem}" for problem in error.problems)
            raise type(error)(f"{source} is not a valid model:\n{mistakes}", error.problems) from None

    def to_toml(self) -> str:
        """The model as the text of a model file.

        Returns
        -------
        str
            `Model.from_text` makes an equal model from it.
        """
        import tomli_w

        return tomli_w.dumps(self._content())

    def replace(self, **changes: Any) -> Model:
        """A validated copy with other values of some fields.

        Parameters
        ----------
        **changes
            For instance ``fixed={"b21": 0.0}``.

        Returns
        -------
        Model
        """
        return type(self)(**({name: getattr(self, name) for name in type(self).model_fields} | changes))

    def _content(self) -> dict[str, Any]:
        """What the model says, as plain types, without empty tables."""
        content = self.model_dump(mode="json", exclude_none=True)
        return {key: value for key, value in content.items() if value != {}}

    @cached_property
    def digest(self) -> str:
        """Hash of the content: 16 hexadecimal digits. The order of the parameters counts."""
        canonical = json.dumps(self._content(), separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]

    def __hash__(self) -> int:
        return hash(self.digest)
