"""What runs the iterations: a chain, a pass through a schedule, budgets, checkpoints.

One iteration, E, SA and M, is `run_block` of `loop.py`, compiled, and the same in Python is `stepwise.py`, to be
changed by algorithms of other kinds; `iteration.py` is what belongs to iterations of a problem, and `passes.py` makes
many.
"""
