"""Is the diagnosis right? Runs made sick on purpose, one way each, and healthy ones.

    python -m clinic train OUT                # every run, a folder each; goes on where it stopped
    python -m clinic measure OUT FIGURES      # the figures that the checks look at, a line a run
    python -m clinic bounds FIGURES           # bounds from the even seeds, beside those in use
    python -m clinic table FIGURES            # sensitivity and false alarms on the odd seeds

`clinic/results/figures.jsonl` holds the figures behind docs/diagnosis.md.
"""
