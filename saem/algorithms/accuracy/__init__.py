"""How far an estimate is from the maximum: Monte Carlo errors and likelihood deficits."""
