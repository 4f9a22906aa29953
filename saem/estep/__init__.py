"""The E-step: how random effects are drawn, and how they are integrated out.

Drawn: `draws.py` by whatever is in force. What that is `samplers.py` says: the family's own draws, exact ones in
`saem.families.linear.draws`, or Markov kernels for any family, whose moves are in `metropolis.py` and whose state is in
`kernel_state.py`. A kernel of one's own: ``examples/own_walk.py``. Conditional modes are found in `modes.py`.

Integrated out: `expectation.py` in closed form, `marginal.py` by rules that `settling.py` chooses, `quadrature.py` for
families that have no derivatives.
"""
