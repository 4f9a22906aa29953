"""The constrained maximum: `sqp.py` finds it in compiled code, and `solver.py` asks for it, of whatever objective.

The constraints, such as ``c2 == g``, are compiled in `saem.expressions.constraint` and enter in `sqp.evaluate_at`.
Other M-steps are the files of `methods/`, by the names of `maximisers.py`.
"""
