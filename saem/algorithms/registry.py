"""All methods are declared here by their names: what each is called, gives and needs.

Nothing heavy is imported here, so that a fit is loaded and the command line is asked for help without the algorithms. A
method's class, which has its declaration as ``declaration``, is imported when it is first used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from saem.errors import ModelError, nearest
from saem.system.display import method_name

if TYPE_CHECKING:
    from saem.algorithms.course.outcome import Outcome
    from saem.families.problem import Problem


@dataclass(frozen=True)
class Declaration:
    """What a method is called, gives and needs.

    Attributes
    ----------
    title : str
        Heads a summary; the name of the method if empty.
    short : str
        Heads a column.
    path : str
        Module and class within `saem.algorithms`, of the methods that have a name there.
    is_exact : bool
        Whether it draws nothing: there is no Monte Carlo error, nothing to go on from, and no callback is called.
    takes_callback : bool
        Whether its ``run`` takes ``watch``, and calls it as ``watch(engine, chain)`` between blocks of iterations.
    can_resume : bool
        Whether its ``run`` takes ``resume``, a checkpoint, and its outcome has one.
    gives_posterior : bool
        Whether its estimates are means of draws from a posterior.
    on_users_scale : bool
        Whether it works on the parameters as the user has them, as priors do.
    gives_chains : bool
        Whether it has independent chains.
    requires : tuple of str
        What it needs of a problem: keys of `NEEDS`.
    """

    title: str = ""
    short: str = ""
    path: str = ""
    is_exact: bool = False
    takes_callback: bool = False
    can_resume: bool = False
    gives_posterior: bool = False
    on_users_scale: bool = False
    gives_chains: bool = False
    requires: tuple[str, ...] = ()

    @property
    def is_simulated(self) -> bool:
        """Whether a maximum is found by draws: up to a target, and drawn and maximised in ways that can be chosen."""
        return not (self.is_exact or self.gives_posterior)

    @property
    def kind(self) -> str:
        """The name of the class."""
        return self.path.partition(":")[2]

    def load(self) -> type:
        """The class is imported, if it has not been yet."""
        module, _, kind = self.path.partition(":")
        return getattr(import_module(f"saem.algorithms.{module}"), kind)  # type: ignore[no-any-return]


NOTHING = Declaration()  # of a method from outside that declares nothing
MONTE_CARLO: dict[str, Any] = {"takes_callback": True, "can_resume": True}

DECLARED: dict[str, Declaration] = {
    "saem": Declaration("SAEM", "SAEM", "saem:SAEM", **MONTE_CARLO),
    "ml": Declaration(
        "Maximum likelihood", "ML", "direct_ml:DirectML", is_exact=True, requires=("marginal likelihood",)
    ),
    "reml": Declaration(
        "Restricted maximum likelihood (REML)",
        "REML",
        "direct_ml:DirectML",
        is_exact=True,
        requires=("marginal likelihood",),
    ),
    "laplace": Declaration(
        "Laplace",
        "Laplace",
        "laplace:Laplace",
        is_exact=True,
        requires=("integrated likelihood",),
    ),
    "em": Declaration(
        "Exact EM", "EM", "exact_em:ExactEM", is_exact=True, requires=("expectation", "marginal likelihood")
    ),
    "mcem": Declaration("Monte Carlo EM", "MCEM", "monte_carlo_em:MonteCarloEM", **MONTE_CARLO),
    "booth_hobert": Declaration(
        "Automated Monte Carlo EM (Booth & Hobert)", "Booth-Hobert", "booth_hobert:BoothHobert", **MONTE_CARLO
    ),
    "ascent_mcem": Declaration("Ascent-based Monte Carlo EM", "ascent MCEM", "ascent_mcem:AscentMCEM", **MONTE_CARLO),
    "stochastic_em": Declaration("Stochastic EM", "stochastic EM", "stochastic_em:StochasticEM", **MONTE_CARLO),
    "annealed_saem": Declaration(
        "SAEM with simulated annealing", "annealed SAEM", "annealed_saem:AnnealedSAEM", **MONTE_CARLO
    ),
    "px_saem": Declaration(
        "Parameter-expanded SAEM", "PX-SAEM", "px_saem:PXSAEM", requires=("expansion",), **MONTE_CARLO
    ),
    "minibatch_saem": Declaration(
        "Mini-batch SAEM", "mini-batch", "minibatch_saem:MiniBatchSAEM", requires=("single clusters",), **MONTE_CARLO
    ),
    "stochastic_newton": Declaration(
        "Stochastic Newton", "stoch. Newton", "stochastic_newton:StochasticNewton", **MONTE_CARLO
    ),
    "fisher_gradient": Declaration(
        "Stochastic gradient with Fisher preconditioning",
        "Fisher grad.",
        "fisher_gradient:FisherGradient",
        requires=("single clusters",),
        **MONTE_CARLO,
    ),
    "chains": Declaration(
        "Independent chains of SAEM",
        "chains",
        "independent_chains:IndependentChains",
        gives_chains=True,
        **MONTE_CARLO,
    ),
    "bayes": Declaration(
        "Bayesian (NUTS)",
        "Bayes",
        "bayes.algorithm:Bayes",
        gives_posterior=True,
        on_users_scale=True,
        requires=("density to draw from",),
    ),
}

NEEDS: dict[str, tuple[str, Callable[[Problem], bool]]] = {
    "expectation": ("a closed-form E-step", lambda problem: problem.latent.has_expectation),
    "marginal likelihood": ("a marginal likelihood", lambda problem: problem.likelihood.is_available),
    "integrated likelihood": (
        "a likelihood that has no closed form (method 'ml' is exact)",
        lambda problem: problem.likelihood.kind in ("quadrature", "simulated"),
    ),
    "density to draw from": (
        "a marginal likelihood in closed form, not the restricted one, or a density of responses and random effects",
        lambda problem: (
            problem.likelihood.kind in ("quadrature", "simulated")
            or (problem.likelihood.kind == "closed" and not problem.likelihood.restricted)
        ),
    ),
    "single clusters": (
        "a family that draws single clusters",
        lambda problem: problem.clusters.clusterwise is not None or not problem.latent.has_draws,
    ),
    "expansion": ("a family that offers parameter expansion", lambda problem: problem.latent.expand is not None),
}


class Algorithm(Protocol):
    """What `saem.fit` accepts as a method object."""

    name: ClassVar[str]

    def run(self, problem: Problem, seed: int = 0) -> Outcome:
        """Estimate the parameters of a problem."""
        ...


class Methods(Mapping[str, Callable[[], Algorithm]]):
    """The classes of all methods by name, imported when they are asked for."""

    def __getitem__(self, name: str) -> Callable[[], Algorithm]:
        return DECLARED[name].load()

    def __contains__(self, name: object) -> bool:
        return name in DECLARED  # without importing it

    def __iter__(self) -> Iterator[str]:
        return iter(DECLARED)

    def __len__(self) -> int:
        return len(DECLARED)


METHODS = Methods()


def declaration_of(method: object) -> Declaration:
    """What a method declares: one of the package, by its name or as an object, or one from outside.

    Raises
    ------
    ModelError
        When what it declares is no `Declaration`.
    """
    if isinstance(method, str):
        return DECLARED.get(method, NOTHING)
    found = getattr(method, "declaration", NOTHING)
    if not isinstance(found, Declaration):
        raise ModelError(
            f"the declaration of method {method_name(method)!r} must be a saem.algorithms.registry.Declaration; "
            f"got {found!r:.60}"
        )
    return found


def check_needs(method: str | Algorithm, problem: Problem) -> None:
    """Refuse a problem that lacks something that a method needs.

    Raises
    ------
    ModelError
        Naming what is missing.
    """
    needs = [NEEDS[need] for need in declaration_of(method).requires]
    missing = [words for words, is_there in needs if not is_there(problem)]
    if missing:
        raise ModelError(
            f"method {method_name(method)!r} needs {' and '.join(missing)}, which there is not here; use method 'saem'"
        )


def resolve(method: str | Algorithm) -> tuple[Algorithm, str]:
    """The method object and its name.

    Raises
    ------
    ModelError
        When it is no method.
    """
    if not isinstance(method, str):
        if isinstance(method, type):
            raise ModelError(f"a method must be an object: write {method.__name__}() instead of {method.__name__}")
        if not callable(getattr(method, "run", None)):
            raise ModelError(f"a method must be one of {', '.join(METHODS)} or have a 'run'; got {method!r}")
        return method, method_name(method)
    if method not in DECLARED:
        raise ModelError(f"there is no method {method!r}{nearest(method, METHODS)}; use one of {', '.join(METHODS)}")
    return METHODS[method](), method
