"""The only package that touches the models of diffusers and transformers."""
