"""Measurements: speed, quality, and how often a diagnosis is right."""
