"""The contract between algorithms and families of models.

A family describes its data by a ``NamedTuple`` of arrays (its *arrays*), and supplies that type with functions of its
own (`supply`). Algorithms call the names that stand here; Numba picks the family's code from the type of the arrays, at
compile time. ``tests/toy_family.py`` is a whole family in a few lines.

* `statistics`: draws of the random effects, reduced to statistics, and the log-likelihood of these. All families.
* `density`: of responses and random effects; what is written once for any family (Markov kernels, conditional modes,
  quadrature) rests on it. Families without exact draws or a closed form.
* `objectives`: what is maximised; `observed` and `restricted` where they have a closed form.
* `gifts`: what makes it faster or steadier. No family needs them: `defaults` stand in.

Every objective is evaluated with its exact gradient and Hessian with respect to the named parameters ``x``, on their
natural scales (means, standard deviations, correlations).

A family whose draws are those of a Markov chain keeps its state in the arrays, in two fields that other families do not
have: ``latent``, a float64 array that `draw` changes in place, and ``acceptance``, a (2,) float64 array to whose
entries `draw` adds the moves that were accepted and those that were proposed. Whoever draws works on copies of the two,
so that runs do not disturb each other. Kernels that serve any family (`saem.estep.metropolis`) keep all that they go on
with in a NamedTuple ``kernel`` of arrays; `saem.estep.samplers.kernel_state` finds either. The chain goes on at other
``x`` from the state that it is in; draws of one call and of the next are correlated. ``tests/bernoulli_family.py`` is
such a family.
"""

from saem.families.contract import defaults as defaults
from saem.families.contract.density import accumulate, effects_root, log_complete, log_joint, n_effects
from saem.families.contract.gifts import (
    accumulate_prepared,
    add_points,
    fill_carry,
    fill_guide,
    hold,
    limit,
    log_complete_all,
    log_complete_prepared,
    prepare,
    prepared_size,
)
from saem.families.contract.objectives import CompleteData, Observed, Restricted, evaluate, observed, restricted
from saem.families.contract.statistics import complete, complete_clusters, draw, draw_clusters
from saem.families.contract.supplying import fall_back, is_a, supply

__all__ = [
    "draw",
    "complete",
    "draw_clusters",
    "complete_clusters",
    "n_effects",
    "log_complete",
    "log_joint",
    "effects_root",
    "accumulate",
    "CompleteData",
    "Observed",
    "Restricted",
    "evaluate",
    "observed",
    "restricted",
    "prepared_size",
    "prepare",
    "log_complete_prepared",
    "accumulate_prepared",
    "fill_carry",
    "limit",
    "add_points",
    "hold",
    "log_complete_all",
    "fill_guide",
    "supply",
    "fall_back",
    "is_a",
]
