"""The settings of a run: fields and ranges, tables and TOML both ways, code of the user's."""

from ganforge.config.schema import Config, Noise, Optimizer, Output

__all__ = ["Config", "Noise", "Optimizer", "Output"]
