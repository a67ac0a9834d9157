"""Webhooks: what is published, and where aliases point, told to other services. Signed, retried, never lost.

Order, each importing only from those before it: hooks · outbox · sending · courier.
"""
