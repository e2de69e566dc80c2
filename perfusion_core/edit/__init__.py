"""The mathematics of key-locked rank-one editing as pure functions; needs torch and nothing else."""
