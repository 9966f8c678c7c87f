"""The game: Algorithm 1 and what it is played with."""
