"""Generators as files for other programs."""
