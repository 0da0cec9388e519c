"""Importing models into the catalog file from a maintained price list.

Names, prices and context windows come from the PyPI package `genai-prices`, whose data is inside the package:
an import needs no network. What that list does not know, quality first, comes from `envoy/quality.yaml`.
"""

from .command import add_catalog_command

__all__ = ["add_catalog_command"]
