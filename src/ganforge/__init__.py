"""ganforge: train, judge, diagnose and ship generative adversarial networks."""

__version__ = "0.1.0"
