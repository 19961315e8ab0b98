"""The lab model: a million weights, correct on nearly every second sum, for experiments on a laptop."""
