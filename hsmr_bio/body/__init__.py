"""The body: shape and pose to joints, bones, skin and skeleton mesh."""
