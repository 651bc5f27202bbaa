"""Audio from outside: decoding, resampling and judging speech."""
