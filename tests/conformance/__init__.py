"""Conformance: the same scenarios on the emulator and on a real Envoy must look the same."""
