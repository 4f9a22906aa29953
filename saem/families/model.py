"""What the models of all families share, from Python or from a TOML file."""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, Strict, field_validator, model_validator

from saem.errors import ConstraintError, ModelError, listing, nearest
from saem.expressions.constraint import MAX_CONSTRAINTS, parameters_of
from saem.expressions.grammar import MAX_NAME
from saem.families.discovery import families, family_named
from saem.specification.grouping import has_factors
from saem.specification.modelfile import read_toml, text_of
from saem.specification.parameters import Parameters
from saem.specification.part import Part
from saem.specification.priors import parse_prior, problems_of

_Finite = Annotated[float, Strict(), Field(allow_inf_nan=False)]
LAST = ("constraints", "fixed", "priors")  # where a model file has them, after the parts of the family


class Model(Part):
    """A mixed-effects model whose parameters may be tied by equations.

    ``Model(...)`` makes a model of the family that it names, the linear one if it names none; each family has its own
    parts beside those below (`saem.families.linear.specification.LinearModel`).

    Parameters
    ----------
    family : str
        A folder of `saem.families`.
    response : str
        Column of the response; may be left out where a formula names it. Of ``log(y) ~ x`` it is ``"log(y)"``: the
        likelihood, and all that is predicted, is on that scale.
    cluster : str or sequence of str
        Columns whose combinations are the clusters.
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

    also_reads: ClassVar[tuple[str, ...]] = ()  # families whose files are models of this class where they say more
    family: str = "linear"
    response: str = Field(min_length=1)
    cluster: tuple[Annotated[str, Field(min_length=1)], ...] = Field(min_length=1)
    constraints: dict[str, str] = Field(default_factory=dict)
    fixed: dict[str, _Finite] = Field(default_factory=dict)
    priors: dict[str, str] = Field(default_factory=dict)

    def __new__(cls, /, **data: Any) -> Self:
        """An object of the family's own class."""
        family = data.get("family")
        own: type[Any] = cls
        if cls is Model:  # of a family that is not there: the linear one, which says what else is wrong
            own = family_named(family_named(family if family in families() else "linear").reader(data)).model
        made: Self = super().__new__(own)
        return made

    @field_validator("family", mode="before")
    @classmethod
    def _check_family(cls, family: Any) -> Any:
        own = cls.model_fields["family"].default
        if family in cls.also_reads:
            return own
        if family != own:
            known = families()
            others = listing(known) if family not in known else repr(own)
            raise ModelError(f"must be {others}; got {family!r:.80}{nearest(str(family), known)}")
        return family

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
    def _check_together(self) -> Self:
        problems = self.problems()
        names: tuple[str, ...] | None = None
        parameters: Parameters | None = None
        try:
            parameters = self.known_parameters()
            names = None if parameters is None else parameters.names
        except ModelError as error:
            problems += error.problems
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

    def problems(self) -> list[str]:
        """What is wrong with the family's own parts, in words."""
        return []

    def known_parameters(self) -> Parameters | None:
        """The parameters; None where they depend on the levels in the data."""
        raise NotImplementedError

    @property
    def parameter_names(self) -> tuple[str, ...] | None:
        """All parameters in order; None where they depend on the levels in the data."""
        parameters = self.known_parameters()
        return None if parameters is None else parameters.names

    @property
    def formula(self) -> str | None:
        """The formula that states the design, if there is one."""
        return None

    @property
    def term_names(self) -> tuple[str, ...]:
        """The random terms."""
        raise NotImplementedError

    @property
    def knows_terms(self) -> bool:
        """Whether these are all random effects of a cluster; of some models the data tell how many there are."""
        return True

    @property
    def response_columns(self) -> tuple[str, ...]:
        """The columns that the response is made of."""
        return (self.response,)

    @property
    def group_columns(self) -> tuple[str, ...]:
        """The columns of variance groups, and of others that there are."""
        return ()

    @property
    def groupings(self) -> tuple[tuple[str, ...], ...]:
        """The columns whose combinations are the clusters; of several grouping factors those of each."""
        return (self.cluster,)

    @property
    def label_columns(self) -> tuple[str, ...]:
        """The columns of the table of what has random effects (`Arranged.cluster_labels`)."""
        return self.cluster

    @property
    def label_word(self) -> str:
        """What has random effects."""
        return "cluster"

    def numbers(self, labels: Any) -> dict[str, int]:
        """How many clusters there are in the table of their labels; of several grouping factors the levels of each."""
        return {"": len(labels)}

    @property
    def text_columns(self) -> tuple[str, ...]:
        """The columns whose levels a table keeps as they are written: those of clusters and of groups."""
        return tuple(dict.fromkeys([*self.cluster, *self.group_columns]))

    @property
    def design_columns(self) -> tuple[str, ...]:
        """The columns that the law of the response depends on, but for clusters and groups."""
        raise NotImplementedError

    @property
    def number_columns(self) -> tuple[str, ...]:
        """Other columns that must be numbers, such as weights."""
        return ()

    @cached_property
    def all_columns(self) -> tuple[str, ...]:
        """All columns that the model reads, the response first."""
        names = (*self.response_columns, *self.text_columns, *self.number_columns, *self.design_columns)
        return tuple(dict.fromkeys(names))

    @property
    def is_transformed(self) -> bool:
        """Whether the response is a function of columns, such as ``log(y)``, that a formula states."""
        return self.response_columns != (self.response,)

    def plain(self) -> Self:
        """The same model of a column that holds the response on the model's scale, and has its name."""
        return self

    @classmethod
    def from_toml(cls, path: str | Path) -> Self:
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
    def from_text(cls, text: str, source: str = "the model") -> Self:
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

    @classmethod
    def from_formula(
        cls,
        formula: str,
        table: Any = None,
        distribution: str = "normal",
        trials: str | int | None = None,
    ) -> Self:
        """Make a model of a formula as lme4 writes it, ``"y ~ x + (1 + x | batch/cask)"``.

        Parameters
        ----------
        formula : str
            With the random effects in brackets with bars (Bates et al. 2015, section 2.2).
        table : DataFrame, optional
            Needed where a column of text is a random term: for its levels.
        distribution : {"normal", "bernoulli", "binomial", "poisson"}
            Of the response, with the logit or the logarithm as the link.
        trials : str or int, optional
            For "binomial": the column with the numbers of trials, or one number for all rows.

        Returns
        -------
        Model
            `to_toml` shows it as a model file; `replace` adds constraints.

        Raises
        ------
        ModelError
            When the formula has no bar, or something that no model file can say.
        ExpressionError
            When it cannot be read.
        """
        from saem.specification.formula.bars import levels_of, model_of_formula

        return cls(**model_of_formula(formula, distribution, trials, levels_of(table)))

    def to_toml(self) -> str:
        """The model as the text of a model file.

        Returns
        -------
        str
            `Model.from_text` makes an equal model from it.
        """
        import tomli_w

        return tomli_w.dumps(self._content())

    def equations(self) -> list[str]:
        """Lines of LaTeX that say the family's own parts, aligned at ``&``; none where a family does not write them."""
        return []

    def latex(self) -> str:
        """The model as mathematics: the law of the response, random effects, constraints and fixed parameters.

        Returns
        -------
        str
            LaTeX of an ``aligned`` environment, to be put between dollars; without the levels that only data know.
        """
        from saem.expressions.latex import latex, symbol

        ties = [latex(text).replace(" = ", " &= ", 1) for text in self.constraints.values()]
        held = [f"{symbol(name)} &= {value:.12g}" for name, value in self.fixed.items()]
        lines = " \\\\\n".join([*self.equations(), *ties, *held])
        return f"\\begin{{aligned}}\n{lines}\n\\end{{aligned}}"

    def _repr_html_(self) -> str:
        """For notebooks: the formula, and the model file."""
        from saem.system.markup import folded, html, mathematics

        title = f"{self.family} model for {self.response}, clusters by {', '.join(self.cluster)}"
        says = self.equations() or self.constraints or self.fixed
        return html(title, []) + (mathematics(self.latex()) if says else "") + folded("model file", self.to_toml())

    def replace(self, **changes: Any) -> Self:
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
        ordered = {name: value for name, value in content.items() if name not in LAST}
        if has_factors(content.get("random")):
            del ordered["cluster"]  # the blocks say their own
        ordered |= {name: content[name] for name in LAST}
        return {key: value for key, value in ordered.items() if value != {}}

    @cached_property
    def digest(self) -> str:
        """Hash of the content: 16 hexadecimal digits. The order of the parameters counts."""
        canonical = json.dumps(self._content(), separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]

    def __hash__(self) -> int:
        return hash(self.digest)
