"""What a model says, part by part: keys, parameters, priors, formulas."""
