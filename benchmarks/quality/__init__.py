"""How the default recipe was chosen, what the metrics notice, how the classifier was trained."""
