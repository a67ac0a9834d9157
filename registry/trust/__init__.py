"""What may be loaded: the policy, what a person trusts by name, and signatures.

Order, each importing only from those before it: policy · bundle · sigstore · signing.
"""
