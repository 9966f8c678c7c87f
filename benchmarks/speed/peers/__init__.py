"""Published loops as plain scripts, written from the algorithm as a tutorial would.

Each file stands alone: `python benchmarks/speed/peers/dcgan.py` trains an epoch. `play(batch)`
yields after every update of both players the examples that D has seen in it.
"""
