"""The paper's tables: accuracy and joint-limit violations of any predictions on the user's data."""
