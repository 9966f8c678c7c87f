"""Augmentations: changes of every picture that D looks at, real and generated alike."""
