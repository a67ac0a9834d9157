"""Data, architectures, fitting, metrics, and the jobs that train and publish."""
