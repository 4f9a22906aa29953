"""Maxima of a likelihood: where to start, all of them, boundaries, information, identification."""
