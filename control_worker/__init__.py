"""The control_worker process: runs all workflows and the control plane's activities."""
