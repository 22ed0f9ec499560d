"""The pipeline language: what users write, how it is checked, and what it resolves to. It knows nothing of runs, nodes
or Temporal."""
