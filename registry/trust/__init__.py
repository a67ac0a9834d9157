"""What may be loaded: the policy of the one who loads, and signatures.

Order, each importing only from those before it: policy · bundle · sigstore · signing.
"""
