"""Frames to measured defects and measured stacks."""
