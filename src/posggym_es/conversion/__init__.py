"""Lossless conversion to POSGGym's policy format, and its proof."""
