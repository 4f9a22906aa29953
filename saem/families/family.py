"""What a family of models supplies: its verbs, from a model file to predictions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from saem.errors import ModelError
from saem.families.coordinates import USERS, Coordinates
from saem.system.display import an

if TYPE_CHECKING:
    import pandas as pd

    from saem.expressions.constraint import Constraints
    from saem.families.arranged import Arranged
    from saem.families.description import Section
    from saem.families.estimated import Effects, Estimated
    from saem.families.levels import Listed
    from saem.families.model import Model
    from saem.families.problem import Problem

Floats = NDArray[np.float64]


class IndividualLaw(NamedTuple):
    """Laws of an individual parameter: normal on a scale of its own."""

    mean: Floats  # (U,)
    sd: Floats
    value: Callable[[Floats], Floats]  # of places (.., U) on that scale, increasing


class Family(ABC):
    """A family of models; each is a folder of `saem.families` with an object ``FAMILY`` of a class of this kind.

    What is not abstract has a default that says that the family does not have it.

    Attributes
    ----------
    title : str
        In words, for messages.
    takes_time : bool
        Whether a fit may take so long that what is weakly determined is worth saying before.
    """

    title: ClassVar[str]
    takes_time: ClassVar[bool] = False

    @property
    @abstractmethod
    def model(self) -> type[Model]:
        """The class of the family's models."""

    def reader(self, said: Mapping[str, Any]) -> str:
        """The family of a model file that names this one: another where it says what models of this one have not."""
        return str(self.model.model_fields["family"].default)

    @abstractmethod
    def arrange(
        self, model: Any, table: pd.DataFrame, drop_missing: bool = False, formula_state: dict[str, Any] | None = None
    ) -> Arranged:
        """Check a table against a model and arrange it as arrays; see `saem.families.arrange`."""

    @abstractmethod
    def build_problem(self, data: Any, constraints: Constraints, restricted: bool, coordinates: Coordinates) -> Problem:
        """The model of a validated table, as algorithms see it.

        Parameters
        ----------
        data : Arranged
            In the coordinates ``coordinates``.
        constraints : Constraints
            In the same.
        restricted : bool
            Whether the likelihood is the restricted one (REML).
        coordinates : Coordinates
        """

    def coordinates_of(self, model: Any, data: Any, last: int = -1) -> Coordinates:
        """The coordinates in which a problem is solved, unless others are asked for; see `saem.families.pose`."""
        return USERS

    def check_restricted(self, model: Any, data: Any) -> None:
        """Refuse REML where there is none.

        Raises
        ------
        ModelError
        """
        raise ModelError(f"REML is for the linear family; this is {an(self.title)}: use method 'ml'")

    def check_conditioning(self, data: Any) -> None:  # noqa: B027 - most families have nothing to refuse
        """Refuse data, in the coordinates of the problem, in which parameters cannot be told apart by rounding.

        Raises
        ------
        DataError
        """

    def placeholder(self, model: Any, table: pd.DataFrame) -> Floats:
        """Responses (n,) that mean nothing, for what only looks at a design."""
        return np.random.default_rng(0).standard_normal(len(table))

    @abstractmethod
    def draw_response(
        self, data: Any, x: Floats, for_effects: np.random.Generator, for_rows: np.random.Generator
    ) -> Floats:
        """One draw of the response (n,), as `Arranged.response` has it, at parameters (n_parameters,)."""

    def recorded(self, model: Any, table: pd.DataFrame, response: Floats) -> dict[str, NDArray[Any]]:
        """The columns in which drawn responses (n,) are recorded, on the rows of a table: the response and its like.

        Parameters
        ----------
        model : Model
            One that is plain.
        table : DataFrame
            (n,) rows; what they say of a response that is there already, such as when it was censored, counts.
        response : (n,) ndarray
            On the model's scale.

        Raises
        ------
        ModelError
            When what would have been recorded is not known.
        """
        return {model.response: response}

    def beside(self, model: Any, table: pd.DataFrame) -> dict[str, NDArray[Any]]:
        """Columns that a design may lack, and that drawn responses then have."""
        return {}

    def censored(self, model: Any, data: Any) -> NDArray[np.bool_] | None:
        """Which responses (n,) are known to be beyond a limit only; None where none can be."""
        return None

    def events(self, model: Any, data: Any) -> tuple[NDArray[np.bool_], NDArray[np.bool_]] | None:
        """Rows (n,) with an event, and those that say anything, where responses are times to events; else None."""
        return None

    def on_model_scale(self, data: Any, response: Floats, coordinates: Coordinates) -> Floats:
        """Responses (n,) of data in other coordinates, as `draw_response` gives them, on the model's scale."""
        return response

    @abstractmethod
    def describe(self, model: Any, data: Any, rows: pd.DataFrame) -> list[Section]:
        """What a model and a table are, for people (`saem check`): parameters first."""

    @abstractmethod
    def without_cluster(self, data: Any, cluster: int) -> Arranged:
        """The data of all other clusters, with the designs as they are.

        Raises
        ------
        DataError
            Saying which parameter the other clusters leave without data.
        """

    @abstractmethod
    def check_nested(self, small: Any, large: Any, with_means: bool = True) -> None:
        """Refuse a smaller model whose parameters act elsewhere than those of the larger one.

        Raises
        ------
        ModelError
        """

    @abstractmethod
    def mean_rank(self, data: Any) -> tuple[int, int]:
        """The rank of the columns of the means, and their number, in the coordinates of a problem."""

    def effects(self, data: Any, x: Floats) -> Effects | None:
        """The law of the random effects given the data at parameters (n_parameters,), where it has a closed form."""
        return None

    def draw_effects(self, data: Any, x: Floats, draws: int, rng: np.random.Generator) -> Floats | None:
        """Draws (draws, C, q) from that law, where those of clusters depend on each other; None where they do not."""
        return None

    def effect_slopes(self, data: Any, x: Floats) -> Floats | None:
        """Derivatives (C, q, n_parameters) of the means of these by the parameters, where they have a closed form."""
        return None

    @abstractmethod
    def arrange_others(self, model: Any, table: pd.DataFrame, data: Any, others: pd.DataFrame) -> Any:
        """Arrange rows that were not there when a model was fitted as those of the fit were.

        Raises
        ------
        DataError
        """

    @abstractmethod
    def own_rows(self, data: Any) -> Any:
        """The rows of the fit, as `arrange_others` has others."""

    @abstractmethod
    def predict(self, rows: Any, at: Estimated, level: float) -> dict[str, Floats]:
        """Predictions of rows with their errors, as the columns of `saem.predict`.

        Parameters
        ----------
        rows : DesignedRows or the like
            On the user's scale; of `own_rows` or `arrange_others`.
        at : Estimated
        level : float
            Of the intervals.
        """

    def curves(self, rows: Any, at: Estimated, modes: Floats) -> dict[str, Floats]:
        """Expected responses of rows: `individual`, at the modes (C, q) of the random effects, and `typical`.

        What is typical is the mean of a new cluster, or where that is another thing the response with random effects
        of zero.
        """
        found = self.predict(rows, at, 0.95)
        return {"individual": found["predicted"], "typical": found["marginal"]}

    def individual(self, data: Any, x: Floats, effects: Floats) -> dict[str, Floats]:
        """Individual parameters (k, U) by name, at parameters (k, n_parameters) and random effects (k, C, q).

        On their own scales; those that have a law, with a centre that is the same in all rows of a cluster and a sum of
        terms on the scale on which they are normal. None where a model has none. U are the clusters, or their occasions
        where the model has these: `individual_labels`.
        """
        return {}

    def individual_laws(self, data: Any, x: Floats, mean: Floats, covariance: Floats) -> dict[str, IndividualLaw]:
        """The laws of the parameters that `individual` has, where effects have means (C, q) and covariances."""
        return {}

    def individual_labels(self, model: Any, data: Any, table: pd.DataFrame) -> pd.DataFrame:
        """The columns that tell apart what `individual` has, a row for each of U; ``table`` is that of the fit."""
        found: pd.DataFrame = data.cluster_labels
        return found

    def listed(self, model: Any, data: Any, table: pd.DataFrame) -> Listed | None:
        """The random effects one by one, where clusters have those of several units; else None."""
        return None

    def residuals(self, data: Any, x: Floats, effects: Floats, coordinates: Coordinates) -> dict[str, Floats]:
        """Fitted values and residuals (n,) of the rows, by name, with random effects (C, q).

        Raises
        ------
        ModelError
            When the family has none.
        """
        raise ModelError(f"there are no residuals of {an(self.title)}")

    def uncorrelated(self, data: Any, x: Floats, responses: Floats) -> Floats:
        """Responses (n, k) less their means, made independent within clusters.

        Raises
        ------
        ModelError
            When the family cannot do so.
        """
        raise ModelError(f"responses of {an(self.title)} cannot be made independent of each other")

    def conditional_ranks(
        self, model: Any, data: Any, x: Floats, draws: int, rng: np.random.Generator, law: Effects | None
    ) -> tuple[Floats, Floats] | None:
        """Ends (n,) between which the distribution function at each response lies, given the cluster's earlier rows.

        For responses that `uncorrelated` is not for, such as whole numbers and censored ones; None for others. nan for
        rows that say nothing. The ``law`` of the random effects given all rows helps, where it is known.
        """
        return None

    def fitted(self, data: Any, x: Floats, coordinates: Coordinates) -> Floats:
        """The marginal means (n,) of the rows on the model's scale."""
        raise ModelError(f"there are no marginal means of {an(self.title)}")

    def spanned(self, data: Any) -> tuple[Floats, Floats]:
        """What a restricted likelihood leaves out: a basis (n, r) of the free means, and what fixed ones add (n,)."""
        raise ModelError(f"there is no restricted likelihood of {an(self.title)}")

    def free_means(self, data: Any) -> str:
        """The free means of a restricted likelihood, in words."""
        raise ModelError(f"there is no restricted likelihood of {an(self.title)}")

    def size_of_columns(self, problem: Problem, data: Any) -> float:
        """``1/2 log|X'X|`` of the columns with which a restricted likelihood was formed, as the user wrote them."""
        raise ModelError(f"there is no restricted likelihood of {an(self.title)}")
