"""The pipeline language: its models, its checks, and the resolved form that runs. It knows nothing of runs, nodes or
Temporal."""
