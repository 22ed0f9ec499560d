"""Use cases of pipelines, runs, their steps and their logs."""
