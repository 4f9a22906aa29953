"""Inference from an estimate; nothing here changes a fit."""
