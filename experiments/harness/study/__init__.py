"""What a simulation study is: a TOML file with the frame and the design, and a Python file with its functions."""

from .cells import Cell
from .loading import STUDIES, load_study
from .specification import Study

__all__ = ["STUDIES", "Cell", "Study", "load_study"]
