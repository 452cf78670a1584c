"""StyleGAN2: networks, operations, losses and the files that hold them."""
