"""Generators, and the game itself, as pages that run in a browser.

    gf.demo("runs/cdcgan", "demo.html")

graph.py lists a generator's operations, reference.py has them in torch, page.py writes the page;
`page.html(sampler)` is its text, for programs that serve it. The folder web/ has what runs in the
browser: the engine (engine.mjs; its loops in WebAssembly, engine.wat) and the pages.
"""
