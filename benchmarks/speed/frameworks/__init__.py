"""The chapter's Gaussian game in several frameworks, each in an environment of its own."""
