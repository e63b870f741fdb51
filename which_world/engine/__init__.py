"""The numerical engine: likelihoods, kernels and compiled loops."""
