"""Measures in words, for axes, tables and captions."""

from __future__ import annotations

WORDS = {
    "mse": "mean squared error",
    "rmse": "root mean squared error",
    "empirical_se": "empirical SE",
    "model_se": "model-based SE",
    "relative_error_se": "relative error of the model-based SE (%)",
    "coverage_existing": "coverage of the intervals that exist",
    "coverage_bias_eliminated": "bias-eliminated coverage",
    "no_interval": "share without an interval",
    "no_estimate": "share without an estimate",
    "no_se": "share without an SE",
    "rejection": "rejection rate",
    "rejection_existing": "rejection rate where an interval exists",
    "distance": "distance to the reference, in its SE",
    "mcse_calibration_spread": "SD of (estimate − reference)/MCSE",
    "mcse_calibration_mean": "mean of (estimate − reference)/MCSE",
    "deficit": "mean log-likelihood deficit",
    "reference_deficit": "mean log-likelihood below the reference's",
    "median_deficit": "median log-likelihood deficit",
    "median_reference_deficit": "median log-likelihood below the reference's",
    "mean_seconds": "mean seconds",
    "median_seconds": "median seconds",
    "ok_rate": "rate of status ok",
    "bias_difference": "difference in bias",
    "mse_ratio": "ratio of MSE",
    "precision_gain": "gain in precision (%)",
    "coverage_difference": "difference in coverage",
    "width_ratio": "ratio of interval widths",
    "loglik_difference": "difference in log-likelihood",
    "seconds_ratio": "ratio of seconds",
    "draws_ratio": "ratio of draws",
}


def title_of(measure: str) -> str:
    """A measure as it is called in tables and on axes."""
    return WORDS.get(measure, measure.replace("_", " "))
