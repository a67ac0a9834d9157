"""The Hugging Face Hub, by its own client: models are taken at one commit, and put there with a card.

Order, each importing only from those before it: asking, card, choosing · taking, pushing.
"""
