"""The arithmetic of TensorFlow Lite, with no model in sight."""
