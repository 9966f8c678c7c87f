"""Is the diagnosis right? Runs with one fault each, made on purpose, and healthy ones.

    python -m benchmarks.diagnosis train OUT            # every run, a folder each; resumes
    python -m benchmarks.diagnosis measure OUT FIGURES  # figures of each run, one a line
    python -m benchmarks.diagnosis limits FIGURES       # faulty against healthy runs, even seeds
    python -m benchmarks.diagnosis table FIGURES        # sensitivity, false alarms, odd seeds

`benchmarks/diagnosis/results/figures.jsonl` holds the figures behind docs/diagnosis.md.
"""
