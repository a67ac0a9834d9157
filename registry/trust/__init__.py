"""What may be loaded: the policy, what a person trusts by name, and signatures."""
