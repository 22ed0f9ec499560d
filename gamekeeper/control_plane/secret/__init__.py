"""Secrets, for the API and for those who bring values to nodes: reading, setting, and the rotation of master keys. A
value is open here for a moment, on its way in or out."""
