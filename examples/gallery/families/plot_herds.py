"""
Successes among trials
======================

Cases among the animals of herds in four periods: lme4's ``cbind(incidence, size - incidence) ~ period + (1 | herd)``.
"""

import saem
from saem import datasets, recipes
from saem.plotting import plot_estimates, plot_random_effects

model = saem.Model.from_text(recipes.text("binomial"))
fit = saem.fit(model, datasets.load("herds"), method="ml")
print(fit.summary())

# %%

# sphinx_gallery_alt = "Caterpillar plot of the random intercepts of the herds with intervals."
plot_random_effects(fit)

# %%

# sphinx_gallery_alt = "Estimates of the effects of the periods and the standard deviation of herds, with intervals."
plot_estimates(fit)
