"""What a run does between its steps: display, log, scores, diagnosis."""
