"""Small data, narrowed recipes and fingerprints."""
