"""Generators over HTTP.

    ganforge serve runs/cdcgan
    curl 'http://127.0.0.1:8000/sample?seed=7&label=8' -o eight.png

values.py checks a request, batching.py computes it, pictures.py encodes the answer, app.py has the
routes, answers.py what the live page shares with it. guard.py (who may ask) and protocol.py
(deadlines, connections) stand before all of them.
"""
