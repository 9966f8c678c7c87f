"""The same step, captured or compiled; tests hold both to `gan.step.step`.

captured: on a GPU, the whole update as CUDA graphs. compiled: on the CPU, many steps of a small
game in one compiled loop.
"""
