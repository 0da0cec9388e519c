"""The host side of AI Nexus: stock Envoy with the plugins, and fake LLM providers behind it.

``python -m nexus run`` starts both, ``python -m nexus render`` makes the Envoy configuration,
``python -m nexus providers`` serves the fake providers alone. `nexus.testing` starts a gateway for a test.
"""
