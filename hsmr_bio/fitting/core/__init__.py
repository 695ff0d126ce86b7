"""The least-squares problem of one person in a clip: unknowns, terms, priors, uncertainty."""
