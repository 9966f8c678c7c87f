"""Is it any good: `score.evaluate` gives every figure with its floor and its stamp.

Nothing is imported here, so that `python -m ganforge.evaluation.lenet` runs one module once.
"""
