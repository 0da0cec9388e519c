"""What LLM gateway plugins share: requests, tokens, signals, configuration.

Everything here is plain computation over plain values, standard library only: no proxy, no clock, no
randomness. What a plugin needs of those it passes in.

Import from the modules: `chat` and `formats` (requests), `intake` (which requests are for a model, what they
ask for), `json_body` (untrusted JSON), `json_edit` (changing members of it), `refusals` (errors to callers),
`signals` (headers between plugins), `tokens` (estimates), `usage` and `sse` (answers), `models`, `catalog`
and `money` (what they cost), `health` (who is well), `windows` and `zones` (time), `config` (reading and
refusing plugin configuration).
"""
