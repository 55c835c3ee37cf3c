"""Commands given damaged, contradictory and malicious input, and what became of them.

``make test-hostile`` runs all of it and prints a table; a sample runs with the other tests.
"""
