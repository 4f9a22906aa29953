"""Bayesian inference by the No-U-Turn sampler.

`density` is the compiled log posterior density of the parameters, with the random effects integrated out where that can
be done in closed form; `joint` is that of parameters and random effects. `space`, `determined`, `frame` and
`joint_framing` say what coordinates are, `nuts` draws by nutpie, and `diagnosis` says what the draws are worth.
`algorithm` puts them together.
"""
