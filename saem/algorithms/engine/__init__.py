"""What runs the iterations: a chain, a pass through a schedule, budgets, checkpoints."""
