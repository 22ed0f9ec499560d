"""Pipelines are judged here: read, checked and resolved, so that the largest of them holds up nobody else. The language
bounds what a text may cost (``domain/language/``); what is left of it is spent in a process of its own."""
