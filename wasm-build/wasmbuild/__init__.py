"""Turn filters written in Python into one core WebAssembly module for Proxy-Wasm hosts."""
