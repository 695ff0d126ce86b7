"""The paper's training: augmentation, losses, pseudo labels that improve, and the loop."""
