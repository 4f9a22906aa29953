"""Whatever a nonlinear model file says, the answer is a model or one of our errors, soon."""

from __future__ import annotations

import strategies
from hypothesis import given, settings
from hypothesis import strategies as st

from saem.errors import ModelError
from saem.families.nonlinear.laws import LAWS
from saem.families.nonlinear.specification import NonlinearModel
from saem.families.nonlinear.structure import structure_of

WORDS = st.sampled_from(["mu", "x", "`x y`", "V", "y", "mean", "pi", "1", "0", "o", "f == 'a'", "z.V", "#0", "where"])
TEXTS = st.one_of(
    strategies.ODD_TEXTS,
    WORDS,
    st.tuples(WORDS, st.sampled_from(["+", "*", "/", "**", "<", ","]), WORDS).map(" ".join),
    st.tuples(st.sampled_from([*LAWS, "exp", "min", "where", "lgamma"]), st.lists(WORDS, max_size=4)).map(
        lambda call: f"{call[0]}({', '.join(call[1])})"
    ),
)
OUTCOMES = st.one_of(
    st.fixed_dictionaries({"distribution": st.just("normal"), "mean": TEXTS, "sd": TEXTS}),
    st.fixed_dictionaries({"distribution": st.just("lognormal"), "median": TEXTS, "sd": TEXTS, "lower": TEXTS}),
    st.fixed_dictionaries({"distribution": st.just("bernoulli"), "probability": TEXTS}),
    st.fixed_dictionaries(
        {"distribution": st.just("ordinal"), "predictor": TEXTS, "cuts": st.lists(TEXTS, max_size=3)}
    ),
    st.fixed_dictionaries({"log_density": TEXTS}),
    st.dictionaries(st.sampled_from(["distribution", "mean", "event", "trials", "interval"]), TEXTS),
)
MODELS = st.fixed_dictionaries(
    {
        "individual": st.dictionaries(st.sampled_from(["V", "U", "x", "exp", "mean"]), TEXTS, max_size=3),
        "outcome": OUTCOMES,
    },
    optional={
        "columns": st.lists(st.sampled_from(["x", "x y", "f", "mean", "y"]), max_size=3),
        "linear": st.dictionaries(
            st.sampled_from(["eta", "V"]), st.sampled_from(["~ x", "y ~ x", "~", "x"]), max_size=1
        ),
        "random": st.fixed_dictionaries({}, optional={"correlated": st.just([["V", "U"]]), "by": TEXTS}),
        "parameters": st.dictionaries(
            WORDS, st.sampled_from(["real", "positive", "interval(0, 1)", "sd", "odd"]), max_size=2
        ),
        "start": st.dictionaries(WORDS, st.floats(-2, 2), max_size=2),
        "fixed": st.dictionaries(WORDS, st.floats(-2, 2), max_size=2),
    },
)


@settings(max_examples=150, deadline=None)
@given(MODELS)
def test_a_model_or_an_error(said):
    try:
        model = NonlinearModel(response="y", cluster="id", **said)
        if not model.linear:
            structure_of(model, model.random.levels, frozenset())
    except ModelError as error:
        assert str(error) and "\n" not in str(error).strip("\n")
