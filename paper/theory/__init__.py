"""What follows from formulas alone: nothing here is simulated."""
