"""What a simulation study is: a TOML file with the frame and the design, and a Python file with its functions."""

from experiments.study.cells import Cell
from experiments.study.loading import STUDIES, load_study
from experiments.study.specification import Study

__all__ = ["STUDIES", "Cell", "Study", "load_study"]
