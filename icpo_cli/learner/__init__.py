"""Log-probs, updates and checkpoints of the policy, on DeepSpeed."""
