"""The generic BSM model, its table of facts and its generator."""

if __name__ != "hsmr_bio.osim_models":
    raise ImportError(f"imported as {__name__!r}; install with 'pip install -e .' and import hsmr_bio.osim_models")
