"""The settings of a run: fields and ranges, TOML to configs and back, a user's own code."""

from ganforge.config.schema import Average, Config, Noise, Optimizer, Output

__all__ = ["Average", "Config", "Noise", "Optimizer", "Output"]
