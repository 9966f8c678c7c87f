"""Proof by attack: one script for each way in which a run could be lost.

    python -m tests.stress.crash --n 30        # any one of them; 0 where nothing was lost, else 1
    python -m tests.stress short               # all, as CI runs them
    python -m tests.stress long                # all, as docs/reliability.md records them

Each prints one line. `--json FILE` keeps the result with date, machine, versions and seed.
`--without NAME` removes a protection (see `mutations`): the script must then fail.
"""
