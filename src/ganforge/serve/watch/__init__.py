"""A live page about runs, which reads their folders and writes nothing.

tail.py follows the files of a run, curve.py thins its log, app.py sends both as server-sent events.
"""
