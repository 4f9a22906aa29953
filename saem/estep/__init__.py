"""Draws of the latent data, expectations in closed form, and integrals over random effects."""
