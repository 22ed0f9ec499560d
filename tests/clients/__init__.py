"""Clients that others generate from the OpenAPI document, and the page `/docs`, each against a running api."""
