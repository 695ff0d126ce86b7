"""The paper's tables: accuracy and joint-limit violations of any predictions, on data that the user has."""
