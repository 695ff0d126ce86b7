"""A study: many trials with one command, resumable; its tables and its report."""
