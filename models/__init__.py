"""Model packs: the files a face decision needs, where they come from and what they are worth."""
