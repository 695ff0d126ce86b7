"""Foreign files to and from our types: one format a file."""

if __name__ != "hsmr_bio.converters":  # a second copy of every class would break isinstance
    raise ImportError(f"imported as {__name__!r}; install with 'pip install -e .' and import hsmr_bio.converters")
