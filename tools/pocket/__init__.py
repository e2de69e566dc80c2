"""Everything needed to make the pocket base model again, one command a stage (see README.md)."""
