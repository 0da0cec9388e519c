"""Modules made with the tools of others."""
