"""Training of the bundled checkpoint, one stage per model."""
