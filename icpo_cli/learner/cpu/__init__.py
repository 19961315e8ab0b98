"""CPU kernels of the learner: short attention, chunked elementwise operations, recomputation."""
