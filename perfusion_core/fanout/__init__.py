"""Many teachings and many images: on this machine's devices, or on a Ray cluster."""
