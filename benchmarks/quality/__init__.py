"""How the default recipe was chosen: variants trained, timed and scored in one protocol."""
