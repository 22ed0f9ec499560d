"""Sealing of secrets: values under data keys, data keys under master keys, and the file of those. Like the certificates
it may use the ``cryptography`` library; it knows neither rows nor requests."""
