"""Whether a model with a design is a special case of another one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from saem.errors import ModelError
from saem.families.arranged import DesignedData

Places = tuple[np.ndarray, np.ndarray]  # the parameters of the smaller and of the larger model that act there


def check_nested(small: DesignedData, large: DesignedData, with_means: bool, more: Iterable[Places] = ()) -> None:
    """See `saem.families.family.Family.check_nested`; ``more`` are the places of what a family has beside."""
    own, other = ({data.parameters.names[i]: column for i, column in columns(data)} for data in (small, large))
    moved = [name for name, column in own.items() if name not in other or not np.array_equal(column, other[name])]
    moved = moved if with_means else []
    terms = dict(zip(large.term_names, large.random_design.T, strict=True))
    for name, column in zip(small.term_names, small.random_design.T, strict=True):
        if name not in terms or not np.array_equal(column, terms[name]):
            moved.append(name)
    if moved:
        raise ModelError(
            f"{moved[0]} acts on other rows, or by other numbers, in the larger model: they are not nested"
        )
    for coarse, fine in (*more, *acting(small, large)):
        if len({*zip(coarse.tolist(), fine.tolist(), strict=True)}) > len(set(fine.tolist())):
            raise ModelError(
                "standard deviations or correlations are shared in another way in the larger model: those of the "
                "smaller one must be shared by at least the same clusters or rows"
            )


def acting(small: DesignedData, large: DesignedData) -> Iterator[Places]:
    """The parameters of both models that act on each cluster: one pair of arrays for each place."""
    places = [(j, large.term_names.index(name)) for j, name in enumerate(small.term_names)]
    for j, k in places:
        yield small.sd_index[small.cluster_group, j], large.sd_index[large.cluster_group, k]
        for i, m in places[:j]:
            own, other = small.corr_index[small.cluster_group, j, i], large.corr_index[large.cluster_group, k, m]
            if (other >= 0).all():
                yield own, other


def columns(data: DesignedData) -> Iterator[tuple[int, np.ndarray]]:
    """The columns of the mean design with their parameters; those that share one are added."""
    for i in dict.fromkeys(data.mean_index.tolist()):
        yield i, data.mean_design[:, data.mean_index == i].sum(axis=1)


def mean_rank(data: DesignedData) -> tuple[int, int]:
    """See `saem.families.family.Family.mean_rank`."""
    gram = data.mean_design.T @ data.mean_design
    return int(np.linalg.matrix_rank(gram, hermitian=True)), len(gram)
