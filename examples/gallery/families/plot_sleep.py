"""
Random intercepts and slopes
============================

Reaction times of 18 subjects over ten days: lme4's ``Reaction ~ Days + (Days | Subject)``, by REML, with t-tests.
"""

import saem
from saem import datasets, recipes
from saem.plotting import plot_effect_quantiles, plot_individual, plot_random_effects

model = saem.Model.from_text(recipes.text("random_slopes"))
fit = saem.fit(model, datasets.load("sleep"), method="reml")
print(fit.summary(t_tests=True))

# %%
# Single subjects, their lines, and a typical one.

# sphinx_gallery_alt = "Reaction time against day for single subjects: points, the line of each subject, and the line of a typical one."
plot_individual(fit, "Days")

# %%
# The slopes of the subjects, and whether they are normal.

# sphinx_gallery_alt = "Caterpillar plot of the random slopes of 18 subjects with intervals."
plot_random_effects(fit, term="days")

# %%

# sphinx_gallery_alt = "Normal QQ plot of the standardised random slopes; all lie within the band."
plot_effect_quantiles(saem.random_effects(fit), term="days")
