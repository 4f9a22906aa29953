"""The E-step: how random effects are drawn, and how they are integrated out.

Drawn: by what `samplers.py` says, the family's own draws, exact ones in `saem.families.linear.draws`, or Markov kernels
for any family, whose moves are in `metropolis.py` and whose state is in `kernel_state.py`. A kernel of one's own:
``examples/own_walk.py``. What draws at an estimate tell of the score is in `score_noise.py`, conditional modes are
found in `modes.py`.

Integrated out: `expectation.py` in closed form, and otherwise `integration/`.
"""
