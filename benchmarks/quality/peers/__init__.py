"""Other systems for a folder of pictures, as plain scripts that need numpy and torch alone.

A peer is a class of (pictures, seed, settings). `step(progress)` plays one turn of both players
and returns their losses, `progress` the used share of the budget; `images` counts the real pictures
that D has seen; `samples(n)` returns stored pictures.
"""
