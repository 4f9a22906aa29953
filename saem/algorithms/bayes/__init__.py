"""Bayesian inference by the No-U-Turn sampler, with the random effects integrated out.

`density` is the compiled log posterior density, `space` and `determined` say what its coordinates are, `nuts` draws
from it by nutpie, and `diagnosis` says what the draws are worth. `algorithm` puts them together.
"""
