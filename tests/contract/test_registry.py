"""The table of the methods: it is true of their classes, complete, and read without importing them."""

from __future__ import annotations

import inspect
import subprocess
import sys
from dataclasses import dataclass
from typing import ClassVar

import pytest
from toy_family import linkage

from saem.algorithms.registry import DECLARED, METHODS, NEEDS, Declaration, check_needs, declaration_of, resolve
from saem.cli.fit import Method
from saem.errors import ModelError


@pytest.mark.parametrize("name", list(DECLARED))
def test_a_class_is_as_declared(name: str) -> None:
    kind, declared = DECLARED[name].load(), DECLARED[name]
    parameters = inspect.signature(kind.run).parameters  # type: ignore[attr-defined]
    assert declared.takes_callback == ("watch" in parameters)
    assert declared.can_resume == ("resume" in parameters)
    assert not declared.is_exact or not (declared.can_resume or declared.takes_callback)
    assert declared.title and declared.short
    assert set(declared.requires) <= NEEDS.keys()
    method = METHODS[name]()
    own = "ml" if name == "reml" else name  # one class, which the problem tells what to do
    assert method.name == own and declaration_of(method) is DECLARED[own]


def test_every_method_has_a_place_on_the_command_line() -> None:
    assert [each.value for each in Method if each is not Method.BOTH] == list(DECLARED)


def test_no_algorithm_is_imported_for_what_they_are_called() -> None:
    code = (
        "import sys; from saem.algorithms.registry import METHODS; len(METHODS), [*METHODS], 'saem' in METHODS;"
        "print([name for name in sys.modules if name.startswith('saem.algorithms.') or name in ('numba', 'numpy')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['saem.algorithms.registry']"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("em", "method 'em' needs a marginal likelihood, which"),
        ("ml", "method 'ml' needs a marginal likelihood, which"),
        ("px_saem", "method 'px_saem' needs a family that offers parameter expansion, which"),
        ("minibatch_saem", "needs a family that draws single clusters"),
        ("fisher_gradient", "needs a family that draws single clusters"),
        ("bayes", "needs a marginal likelihood in closed form"),
    ],
)
def test_a_problem_that_lacks_what_is_needed_is_refused(name: str, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        check_needs(METHODS[name](), linkage())


@dataclass(frozen=True)
class Mine:
    """A method from outside."""

    name: ClassVar[str] = "mine"
    declaration: ClassVar[object] = Declaration(requires=("expansion",))

    def run(self, problem: object, seed: int = 0) -> None:
        """Never gets so far."""


class Wrong(Mine):
    """Declares in another way."""

    declaration: ClassVar[object] = {"requires": ()}


def test_methods_from_outside_declare_likewise() -> None:
    with pytest.raises(ModelError, match="method 'mine' needs a family that offers parameter expansion"):
        check_needs(Mine(), linkage())  # type: ignore[arg-type]
    with pytest.raises(ModelError, match=r"declaration of method 'mine' must be a .*Declaration; got \{'requires'"):
        declaration_of(Wrong())
    assert declaration_of(object()) == Declaration()
    with pytest.raises(ModelError, match=r"no method 'same'.*'saem'"):
        resolve("same")
