"""What others' generators make of the same layers, measured in the same run as ours: see ``scripts/peers``."""
