"""What LLM gateway plugins share: requests, tokens, signals, configuration.

Everything here is plain computation over plain values, standard library only: no proxy, no clock, no
randomness. What a plugin needs of those it passes in.

Import from the modules: `chat` and `formats` (requests), `json_body` (untrusted JSON), `refusals` (errors to
callers), `signals` (headers between plugins), `tokens` (estimates), `config` (reading and refusing plugin
configuration).
"""
