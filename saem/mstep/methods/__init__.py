"""The constrained maximisers of an M-step, one in each file."""
