"""Use cases of pipelines, runs, their steps and their logs. They write rows first, and then talk to Temporal."""
