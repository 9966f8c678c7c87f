"""Is it any good: `evaluate.evaluate` gives every figure with its floor and its stamp."""
