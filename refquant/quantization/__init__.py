"""Float models to quantized models, as the TFLite converter makes them."""
