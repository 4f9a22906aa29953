"""When to stop: `rule.py` decides, `target.py` says by which targets, and `status.py` how a fit ended.

Who asks, and goes on until then, is `saem.algorithms.course.up_to_target`.
"""

from saem.stopping.rule import is_reached, misses_deficit, misses_error
from saem.stopping.status import Status
from saem.stopping.target import Target

__all__ = ["Status", "Target", "is_reached", "misses_deficit", "misses_error"]
