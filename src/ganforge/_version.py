"""The version of ganforge."""

__version__ = "0.2.0.dev0"
