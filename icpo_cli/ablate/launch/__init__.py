"""How the jobs of a study come to run: on this machine, or through SLURM."""
