"""The routing laboratory: calibrate, train, evaluate and replay routing, offline.

Nothing here runs in a gateway. `python -m routerlab` is the command line.
"""
