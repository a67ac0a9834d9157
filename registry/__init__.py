"""From an item to a runnable model: choice, trust, runtimes."""
