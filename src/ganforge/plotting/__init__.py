"""Every figure of the project: one style, one drawing of each kind of figure."""
