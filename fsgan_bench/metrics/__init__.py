"""Numbers for a set of images, and the pass over the images that computes them."""
