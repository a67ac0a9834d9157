"""Speed against what a user would pick instead, as ratios within one run: ``make bench``."""
