"""The course of a fit around its iterations: starts, boundaries, other maxima, the rule to stop, the verdict."""
