"""What the tests see: code with one thing changed or one protection taken out must fail them.

`python -m tests.stress.mutations` changes one expression or statement at a time in a copy of the
tree and runs the related tests there; `protections` are taken out of the running process, where
one line is not enough, and a stress script must then fail.
"""
