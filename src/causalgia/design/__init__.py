"""Design: thousands of replicate trials, and what they say about the one to be run."""
