"""Which packages are installed: all else is in pyproject.toml.

The studies are installed as `saem_experiments`, for a package `experiments` may be somebody's own; see
`experiments/names.py`.
"""

from setuptools import find_packages, setup

INSTALLED = "saem_experiments"
setup(
    packages=[
        *find_packages(include=["saem", "saem.*"]),
        *(
            INSTALLED + name.removeprefix("experiments")
            for name in find_packages(include=["experiments", "experiments.*"])
        ),
    ],
    package_dir={INSTALLED: "experiments"},
)
