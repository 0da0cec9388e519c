"""The scorers: each gives a prompt a number from 0 to 1, how likely the strong model is to do better.

One class each, made by configuration, called with what is known of a request.
"""
