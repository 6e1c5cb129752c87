"""Where a model comes from: datasets, training, evaluation, the registry of released models."""
