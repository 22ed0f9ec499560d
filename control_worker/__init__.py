"""The control_worker process. It runs all workflows and the control plane's activities."""
