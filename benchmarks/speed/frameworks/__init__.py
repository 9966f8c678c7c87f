"""The chapter's Gaussian game in several frameworks, each in a separate environment."""
