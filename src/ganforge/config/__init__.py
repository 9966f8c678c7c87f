"""The settings of a run: fields and ranges, TOML to configs and back, a user's own code."""

from ganforge.config.schema import Config, Noise, Optimizer, Output

__all__ = ["Config", "Noise", "Optimizer", "Output"]
