"""Segments: frozen rules that say which segment a customer is in, and how they are learnt.

``rules`` holds the rules themselves (NumPy only, so that a service needs nothing else),
``expressions`` evaluates the same rules inside a database, and ``estimators`` learns them.
"""
