"""Performance measures of a simulation study, each with its Monte Carlo standard error.

Morris, White & Crowther (2019), Using simulation studies to evaluate statistical methods, Statistics in Medicine 38,
2074-2102, table 6; where its closed form needs normal estimates, the jackknife instead. `performance` judges every
method by itself, `paired` two methods on the same data sets; `adjusted` is for rules that stop.
"""

from .comparison import paired
from .measures import MEASURES, NEED_NULL, NEED_REFERENCE, SHARES, performance
from .proportions import Adjusted, adjusted
from .records import COLUMNS, CONVERGED, COUNTED, FAILED, STATUSES, WHOLE_FIT
from .tables import wide

__all__ = [
    "performance",
    "paired",
    "wide",
    "adjusted",
    "Adjusted",
    "MEASURES",
    "SHARES",
    "NEED_NULL",
    "NEED_REFERENCE",
    "COLUMNS",
    "STATUSES",
    "COUNTED",
    "CONVERGED",
    "FAILED",
    "WHOLE_FIT",
]
