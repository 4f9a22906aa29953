"""How random effects are integrated out where there is no closed form: the marginal likelihood and its rules.

`marginal.py` is the likelihood by rules of integration, as an objective with exact derivatives (`marginal_blocks.py`
for many clusters). `settling.py` chooses the rules cluster by cluster: product rules, of more and more nodes
(`ladder.py`), and points of mixtures (`rules.py`), which `placing.py` keeps, `matching.py` and `mixtures.py` put where
the random effects are, and `worth.py` judges. `quadrature.py` integrates for families that have no derivatives.
"""
