"""Files and our types: OpenSim's text formats, our own ``.npz`` files, video, foreign pickles."""
