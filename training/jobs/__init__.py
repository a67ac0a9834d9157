"""Training jobs: from radar frames to a published item."""
