"""Many runs: seeds, games stacked in one program, comparisons, statistics."""
