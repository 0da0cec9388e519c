"""The decision of the plugin `ai-budget-guard`: whether a caller can still pay."""
